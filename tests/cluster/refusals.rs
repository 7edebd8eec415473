//! Who does not belong is sent away in words, each time told of, and a good agent beside it goes on.

use jiff::{SignedDuration, Timestamp};
use slatest_cluster::PROTOCOL;
use slatest_cluster::client::ClientError;
use slatest_cluster::fleet::{Input, Refusal};
use slatest_cluster::identity::{AgentIdentity, AgentKey, RunAuthority, Token};
use slatest_cluster::service::Unsent;
use slatest_cluster::transport::{AGENT_MESSAGE_MAX, Trust, dial};
use slatest_cluster::wire::{self, from_agent, to_agent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::door::{Door, hello, soon};

/// The words of a refusal for good.
fn message<T>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Refused(message)) => message,
        Err(ClientError::Lost(message)) => panic!("it would try again: {message}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn a_token_is_exchanged_and_the_agent_attends() {
    let mut door = Door::open(2).await;
    let identity = door.enroll(&door.token, "a1").await.unwrap();
    let mut agent = door.attend(&identity).await.unwrap();
    agent.say(from_agent::Body::Hello(hello("a1"))).await;
    let Input::Hello { peer, certified, .. } = door.input().await else { panic!("no hello") };
    assert_eq!(certified, "a1");
    door.goes_on(&mut agent, peer).await;
    drop(agent);
    let Input::Gone { peer: gone, .. } = door.input().await else { panic!("not gone") };
    assert_eq!(gone, peer);
    assert_eq!(door.connections.send(peer, to_agent::Body::Farewell(wire::Farewell {})), Err(Unsent::Gone));
    assert!(door.refusals.try_recv().is_err(), "nobody was refused");
    door.close(()).await;
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    // Another secret for the same authority.
    let parts: Vec<String> = door.token.to_string().split('.').map(str::to_owned).collect();
    let wrong: Token = format!("{}.{}.{}", parts[0], "A".repeat(22), parts[2]).parse().unwrap();
    let said = message(door.enroll(&wrong, "a1").await);
    assert!(said.contains("not that of this run"), "{said}");
    let told = door.refused().await;
    assert_eq!(told.reason, said);
    assert!(told.peer.starts_with("127.0.0.1:") && !told.to_string().contains(&parts[1]), "{told}");
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let mut door = Door::open_until(2, Timestamp::now() - SignedDuration::from_secs(1)).await;
    let (mut good, peer) = door.good_agent("good").await;
    let said = message(door.enroll(&door.token, "a1").await);
    assert!(said.contains("time ended at"), "{said}");
    assert_eq!(door.refused().await.reason, said);
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn a_token_of_another_coordinator_never_leaves_the_agent() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let other = RunAuthority::new().unwrap().issue_token(Timestamp::now() + SignedDuration::from_hours(1));
    let said = message(door.enroll(&other, "a1").await);
    assert!(said.contains("not certified by the authority"), "{said}");
    let told = door.refused().await;
    assert!(told.reason.contains("no secure connection"), "{told}");
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    // It knows the right coordinator, and shows what another one issued.
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    door.authority.identity("a1").unwrap().write(&ours).unwrap();
    RunAuthority::new().unwrap().identity("a1").unwrap().write(&theirs).unwrap();
    let (ca, cert, key) = (ours.join("ca.pem"), theirs.join("agent.pem"), theirs.join("agent.key"));
    let mixed = AgentIdentity::read(&ca, &cert, &key).unwrap();
    let said = message(door.attend(&mixed).await);
    assert!(said.contains("doesn't take the agent's certificate"), "{said}");
    assert!(door.refused().await.reason.contains("certificate"), "the coordinator says why");
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn attending_without_a_certificate_is_refused() {
    use wire::coordinator_client::CoordinatorClient;
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let link = dial(door.dial().await, &Trust::from(&door.token), None).await.unwrap();
    let mut client = CoordinatorClient::with_origin(link.calls(), "https://coordinator.slatest".parse().unwrap());
    let first = wire::FromAgent { body: Some(from_agent::Body::Hello(hello("a1"))) };
    let status = soon(client.attend(tokio_stream::iter([first]))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert!(status.message().contains("has to show a certificate"), "{status}");
    assert_eq!(door.refused().await.reason, status.message());
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn another_agents_certificate_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let mut agent = door.attend(&door.authority.identity("a1").unwrap()).await.unwrap();
    agent.say(from_agent::Body::Hello(hello("good"))).await;
    let said = message(agent.hear().await);
    assert!(said.contains("calls itself `good`") && said.contains("that of `a1`"), "{said}");
    let told = door.refused().await;
    assert_eq!(told.reason, said);
    assert!(told.peer.contains("(agent a1)"), "{told}");
    door.goes_on(&mut good, peer).await;
    door.close((good, agent)).await;
}

#[tokio::test]
async fn another_version_is_refused_with_both_named() {
    use wire::coordinator_client::CoordinatorClient;
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let link = dial(door.dial().await, &Trust::from(&door.token), None).await.unwrap();
    let mut client = CoordinatorClient::with_origin(link.calls(), "https://coordinator.slatest".parse().unwrap());
    let request = wire::EnrollRequest {
        protocol: PROTOCOL + 1,
        slatest: "9.9.9".to_owned(),
        secret: door.token.secret().to_owned(),
        agent: "a1".to_owned(),
        certificate_request: AgentKey::generate("a1").unwrap().request().unwrap().into(),
    };
    let status = soon(client.enroll(request)).await.unwrap_err();
    let (theirs, ours) = (format!("version {}", PROTOCOL + 1), format!("version {PROTOCOL}"));
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    for named in [theirs.as_str(), ours.as_str(), "9.9.9", env!("CARGO_PKG_VERSION")] {
        assert!(status.message().contains(named), "{status}");
    }
    assert_eq!(door.refused().await.reason, status.message());
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn a_first_message_that_is_no_hello_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let mut agent = door.attend(&door.authority.identity("a1").unwrap()).await.unwrap();
    agent.say(from_agent::Body::Ready(wire::Ready {})).await;
    let said = message(agent.hear().await);
    assert_eq!(said, Refusal::Unannounced.to_string());
    assert_eq!(door.refused().await.reason, said);
    door.goes_on(&mut good, peer).await;
    door.close((good, agent)).await;
}

#[tokio::test]
async fn what_the_fleet_refuses_is_heard_after_what_was_said_before() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let (mut agent, refused) = door.good_agent("a1").await;
    door.connections.send(refused, to_agent::Body::Ack(wire::Ack { through: 1 })).unwrap();
    door.connections.refuse(refused, &Refusal::Full { agents: 2 });
    assert_eq!(agent.hear().await.unwrap(), to_agent::Body::Ack(wire::Ack { through: 1 }));
    assert_eq!(message(agent.hear().await), Refusal::Full { agents: 2 }.to_string());
    let (mut again, superseded) = door.good_agent_after_gone("a1", refused).await;
    door.connections.refuse(superseded, &Refusal::Superseded);
    let heard = again.hear().await;
    assert_eq!(heard, Err(ClientError::Lost(Refusal::Superseded.to_string())), "this one may come again");
    door.goes_on(&mut good, peer).await;
    door.close((good, agent, again)).await;
}

/// A message for the wire by hand: what the client's own bounds would keep back.
async fn raw(door: &Door, name: &str, frame: Vec<u8>) -> tonic::Status {
    use tonic::client::Grpc;
    let identity = door.authority.identity(name).unwrap();
    let link = dial(door.dial().await, &Trust::Authority(door.authority.ca().clone()), Some(&identity)).await.unwrap();
    let mut grpc = Grpc::with_origin(link.calls(), "https://coordinator.slatest".parse().unwrap());
    soon(grpc.ready()).await.unwrap();
    let first = wire::FromAgent { body: Some(from_agent::Body::Hello(hello(name))) };
    let frames = [prost::Message::encode_to_vec(&first), frame];
    let request = tonic::Request::new(tokio_stream::iter(frames));
    let path = http::uri::PathAndQuery::from_static("/slatest.v1.Coordinator/Attend");
    let answer = soon(grpc.streaming(request, path, crate::door::Bytes)).await.unwrap();
    let mut heard = answer.into_inner();
    loop {
        match soon(heard.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was let in"),
            Err(status) => return status,
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let status = raw(&door, "a1", vec![0; AGENT_MESSAGE_MAX + 1]).await;
    assert!(status.message().contains("a message is too long"), "{status}");
    let told = door.refused().await;
    assert_eq!(told.reason, status.message());
    assert!(told.peer.contains("(agent a1)"), "{told}");
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn a_message_of_garbage_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let status = raw(&door, "a1", vec![0xff; 100]).await;
    assert!(status.message().contains("can't be understood"), "{status}");
    assert_eq!(door.refused().await.reason, status.message());
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_refused() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let mut stream = door.dial().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: coordinator\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(door.refused().await.reason.contains("no secure connection"));
    door.goes_on(&mut good, peer).await;
    door.close(good).await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_refused() {
    let mut door = Door::open(1).await;
    let (mut good, peer) = door.good_agent("good").await;
    // Strangers who say nothing.
    let mut strangers = Vec::new();
    for _ in 0..80 {
        strangers.push(door.dial().await);
    }
    assert!(door.refused().await.reason.contains("too many connections"));
    door.goes_on(&mut good, peer).await;
    drop(strangers);
    door.close(good).await;
}

/// Who has no token comes again and again, more of them than there are places: agents join all the same, with a token
/// and with a certificate, and stay.
#[tokio::test]
async fn strangers_without_a_token_keep_nobody_out() {
    let mut door = Door::open(3).await;
    let mut strangers = std::collections::VecDeque::new();
    let mut agents = Vec::new();
    for name in ["a", "b", "c"] {
        for _ in 0..120 {
            strangers.push_back(door.dial().await);
            if strangers.len() > 120 {
                strangers.pop_front();
            }
        }
        let identity = door.enroll(&door.token, name).await.unwrap();
        let agent = door.attend(&identity).await.unwrap();
        agent.say(from_agent::Body::Hello(hello(name))).await;
        let Input::Hello { peer, .. } = door.input().await else { panic!("no hello") };
        agents.push((agent, peer));
    }
    for (agent, peer) in &mut agents {
        door.goes_on(agent, *peer).await;
    }
    drop(strangers);
    door.close(agents).await;
}

#[tokio::test]
async fn who_does_not_listen_is_sent_away() {
    let mut door = Door::open(2).await;
    let (mut good, peer) = door.good_agent("good").await;
    let (deaf, slow) = door.good_agent("deaf").await;
    // More than any connection holds for a peer that doesn't read.
    let long = || to_agent::Body::Stop(wire::Stop { urgent: false, reason: "x".repeat(64 << 10) });
    let mut sent = 0;
    let end = loop {
        match door.connections.send(slow, long()) {
            Ok(()) => sent += 1,
            Err(end) => break end,
        }
        assert!(sent < 10_000, "nothing bounds what waits for a peer");
        tokio::task::yield_now().await;
    };
    assert_eq!(end, Unsent::Slow);
    let Input::Gone { peer: gone, .. } = door.input().await else { panic!("not gone") };
    assert_eq!(gone, slow);
    door.goes_on(&mut good, peer).await;
    drop(deaf);
    door.close(good).await;
}

//! Who says nothing holds no place for long. The network and the time are simulated.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use slatest_cluster::client::{ClientError, attend};
use slatest_cluster::fleet::Input;
use slatest_cluster::identity::RunAuthority;
use slatest_cluster::service::Service;
use slatest_cluster::transport::{Trust, dial};
use slatest_cluster::wire::from_agent;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};

use crate::door::{Attending, hello};

/// A door that connections without a network come to.
struct Quiet {
    authority: Arc<RunAuthority>,
    knock: mpsc::UnboundedSender<(DuplexStream, String)>,
    service: Service,
}

impl Quiet {
    fn open() -> Self {
        let mut authority = RunAuthority::new().unwrap();
        authority.issue_token(Timestamp::now() + SignedDuration::from_hours(1));
        let authority = Arc::new(authority);
        let (knock, incoming) = mpsc::unbounded_channel();
        let service = Service::start(UnboundedReceiverStream::new(incoming), Arc::clone(&authority), 4).unwrap();
        Self { authority, knock, service }
    }

    fn dial(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        self.knock.send((theirs, "simulated".to_owned())).unwrap();
        ours
    }

    async fn attend(&self, name: &str) -> Attending {
        let (say, outgoing) = mpsc::channel(16);
        let identity = self.authority.identity(name).unwrap();
        let heard = attend(self.dial(), &identity, ReceiverStream::new(outgoing)).await.unwrap();
        Attending { say, heard }
    }
}

fn about(took: Duration, secs: u64) {
    let wanted = Duration::from_secs(secs);
    assert!(took >= wanted && took < wanted + Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_never_shakes_hands_is_sent_away() {
    let mut door = Quiet::open();
    let begun = Instant::now();
    let mut silent = door.dial();
    let refused = door.service.refusals.recv().await.unwrap();
    assert!(refused.reason.contains("no secure connection came about in time"), "{refused}");
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0, "it is closed");
    about(begun.elapsed(), 10);
}

#[tokio::test(start_paused = true)]
async fn who_makes_no_call_is_sent_away() {
    let door = Quiet::open();
    let begun = Instant::now();
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let mut watched = door.dial();
    // The bytes pass through our hands, so that the end of the connection is seen.
    let carried = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut watched).await });
    let link = dial(near, &Trust::Authority(door.authority.ca().clone()), None).await.unwrap();
    let _ = carried.await.unwrap();
    about(begun.elapsed(), 30);
    drop(link);
}

#[tokio::test(start_paused = true)]
async fn who_says_no_hello_is_sent_away_and_who_said_it_may_be_silent() {
    let mut door = Quiet::open();
    let good = door.attend("good").await;
    good.say(from_agent::Body::Hello(hello("good"))).await;
    let Some(Input::Hello { peer, .. }) = door.service.inputs.recv().await else { panic!("no hello") };
    let begun = Instant::now();
    let mut silent = door.attend("silent").await;
    let heard = silent.heard_within(Duration::from_secs(60)).await;
    assert_eq!(heard, Err(ClientError::Lost("it did not say hello in time".to_owned())));
    about(begun.elapsed(), 10);
    assert_eq!(door.service.refusals.recv().await.unwrap().peer, "simulated (agent silent)");
    // Whether an agent is lost is for the fleet to say.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(door.service.inputs.try_recv().is_err(), "nothing was heard of it, and it is not gone");
    good.say(from_agent::Body::Notice("still here".to_owned())).await;
    let Some(Input::Message { peer: from, .. }) = door.service.inputs.recv().await else { panic!("no message") };
    assert_eq!(from, peer);
}

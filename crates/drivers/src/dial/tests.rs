//! Real sockets of this machine behind names with several addresses.

use std::net::{IpAddr, Ipv4Addr};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use super::*;
use slatest_core::target::Allow;

/// Longer than any of these tests on any machine.
const LONG: Duration = Duration::from_secs(60);

fn dial(addresses: &[u8]) -> Dial {
    let allow =
        Allow { hosts: vec!["*.example".into(), "127.0.0.1".into()], max_rate: None, max_users: None, drills: false };
    let found: Vec<IpAddr> = addresses.iter().map(|last| IpAddr::from([127, 0, 0, *last])).collect();
    Dial::of(Guard::new(&allow).unwrap(), found)
}

/// An address that swallows connections: the queue of a listener that accepts nobody is full, and Linux drops what
/// comes then.
pub(crate) struct Swallowing {
    _full: Socket,
    _filling: Vec<TcpStream>,
}

impl Swallowing {
    pub(crate) async fn on(address: SocketAddr) -> Self {
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&address.into()).unwrap();
        full.listen(0).unwrap();
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            filling.push(stream);
        }
        Self { _full: full, _filling: filling }
    }
}

async fn listening(last: u8, port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).await.unwrap()
}

#[tokio::test]
async fn connections_spread_over_the_addresses_and_that_is_said() {
    let first = listening(1, 0).await;
    let port = first.local_addr().unwrap().port();
    let _others = [listening(2, port).await, listening(3, port).await];
    let dial = dial(&[1, 2, 3]);
    for _ in 0..30 {
        let stream = dial.connect("api.example", port, LONG).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }
    let detail = "connections of api.example: 10 to 127.0.0.1, 10 to 127.0.0.2, 10 to 127.0.0.3".to_owned();
    assert_eq!(dial.findings(), [Finding { check: "addresses".into(), holds: true, detail }]);
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over_and_tried_last_afterwards() {
    let second = listening(2, 0).await;
    let port = second.local_addr().unwrap().port();
    let dial = dial(&[1, 2]);
    for _ in 0..5 {
        let stream = dial.connect("api.example", port, LONG).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 2]));
    }
    assert_eq!(dial.findings()[0].detail, "connections of api.example: 5 to 127.0.0.2, 0 to 127.0.0.1");
}

#[tokio::test]
async fn an_address_that_swallows_connections_does_not_keep_from_the_other() {
    let good = listening(2, 0).await;
    let port = good.local_addr().unwrap().port();
    let _swallowing = Swallowing::on(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let stream = dial(&[1, 2]).connect("api.example", port, LONG).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 2]));
    let alone = dial(&[1]).connect("api.example", port, Duration::from_millis(400)).await.unwrap_err();
    assert_eq!(alone.kind(), "connect: timed out");
}

#[tokio::test]
async fn who_is_not_allowed_is_not_looked_up_and_a_refusal_is_said_as_such() {
    let dial = dial(&[1]);
    let error = dial.connect("elsewhere.test", 1, LONG).await.unwrap_err();
    assert_eq!(error.kind(), "guard: host not allowed");
    let free = listening(1, 0).await.local_addr().unwrap().port();
    assert_eq!(dial.connect("api.example", free, LONG).await.unwrap_err().kind(), "connect: connection refused");
    assert!(dial.findings().is_empty(), "one address has nothing to tell");
}

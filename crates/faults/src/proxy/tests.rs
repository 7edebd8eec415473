//! Through real sockets of loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(30);
/// Long enough that a byte that were to arrive would have, most of the time; it can't make a right proxy fail.
const WHILE: Duration = Duration::from_millis(50);

/// A server that says back what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

fn spec(upstream: SocketAddr, max_connections: Option<u32>) -> ProxySpec {
    ProxySpec {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        upstream: upstream.to_string(),
        max_connections: max_connections.and_then(std::num::NonZero::new),
    }
}

async fn proxy() -> Proxy {
    Proxy::start("db", &spec(echo().await, None)).unwrap()
}

async fn says(client: &mut TcpStream, text: &str) -> io::Result<String> {
    client.write_all(text.as_bytes()).await?;
    hears(client, text.len()).await
}

async fn hears(client: &mut TcpStream, length: usize) -> io::Result<String> {
    let mut heard = vec![0; length];
    timeout(LONG, client.read_exact(&mut heard)).await.expect("an answer")?;
    Ok(String::from_utf8(heard).unwrap())
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

#[tokio::test]
async fn everything_passes_and_the_end_of_one_side_is_the_end_of_the_other() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;
    assert_eq!(says(&mut client, "hello").await.unwrap(), "hello");
    let much = vec![b'x'; 3_000_000];
    let (mut from, mut to) = client.split();
    let mut back = Vec::new();
    let (sent, heard) = tokio::join!(
        async {
            to.write_all(&much).await?;
            to.shutdown().await
        },
        from.read_to_end(&mut back)
    );
    sent.unwrap();
    heard.unwrap();
    assert!(back == much);
}

#[tokio::test]
async fn refused_means_reset_for_those_that_are_open_and_refused_for_the_new() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;
    says(&mut client, "hello").await.unwrap();
    proxy.set(Condition::Refuse).await.unwrap();
    let broken = says(&mut client, "more").await.unwrap_err();
    assert!(matches!(broken.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{broken}");
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    proxy.set(Condition::Pass).await.unwrap();
    assert_eq!(says(&mut connect(&proxy).await, "again").await.unwrap(), "again");
    for condition in [Condition::Refuse, Condition::Refuse, Condition::Reset, Condition::Refuse, Condition::Pass] {
        proxy.set(condition).await.unwrap();
        assert_eq!(proxy.condition(), condition);
    }
    assert_eq!(says(&mut connect(&proxy).await, "again").await.unwrap(), "again");
}

#[tokio::test]
async fn reset_means_accepted_and_reset() {
    let proxy = proxy().await;
    let mut open = connect(&proxy).await;
    says(&mut open, "hello").await.unwrap();
    proxy.set(Condition::Reset).await.unwrap();
    let ended = timeout(LONG, open.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
    // The reset may be there before the client has looked at its new connection.
    let ended = match timeout(LONG, TcpStream::connect(proxy.address())).await.unwrap() {
        Ok(mut new) => timeout(LONG, new.read_u8()).await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_black_hole_holds_everything_and_gives_it_back() {
    let proxy = proxy().await;
    let mut open = connect(&proxy).await;
    says(&mut open, "hello").await.unwrap();
    proxy.set(Condition::Blackhole).await.unwrap();
    let mut new = connect(&proxy).await;
    for client in [&mut open, &mut new] {
        client.write_all(b"held").await.unwrap();
        assert!(timeout(WHILE, client.read_u8()).await.is_err(), "nothing passes, nothing closes");
    }
    proxy.set(Condition::Pass).await.unwrap();
    for client in [&mut open, &mut new] {
        assert_eq!(hears(client, 4).await.unwrap(), "held");
    }
}

#[tokio::test]
async fn late_answers_are_at_least_as_late_as_asked_also_on_open_connections() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;
    says(&mut client, "hello").await.unwrap();
    let latency = Duration::from_millis(120);
    let slow = Condition::Slow { latency, jitter: Duration::ZERO, bytes_per_second: None, seed: 0 };
    proxy.set(slow).await.unwrap();
    for _ in 0..3 {
        let asked = Instant::now();
        says(&mut client, "late").await.unwrap();
        assert!(asked.elapsed() >= latency, "{:?}", asked.elapsed());
    }
    // What is under way when the line is mended needn't wait for its time.
    let hour = Duration::from_secs(3600);
    let slow = Condition::Slow { latency: hour, jitter: Duration::ZERO, bytes_per_second: None, seed: 0 };
    proxy.set(slow).await.unwrap();
    client.write_all(b"late").await.unwrap();
    assert!(timeout(WHILE, client.read_u8()).await.is_err());
    proxy.set(Condition::Pass).await.unwrap();
    assert_eq!(hears(&mut client, 4).await.unwrap(), "late");
}

#[tokio::test]
async fn a_narrow_line_takes_its_time() {
    let proxy = proxy().await;
    let bytes_per_second = NonZeroU64::new(20_000);
    let slow = Condition::Slow { latency: Duration::ZERO, jitter: Duration::ZERO, bytes_per_second, seed: 0 };
    proxy.set(slow).await.unwrap();
    let mut client = connect(&proxy).await;
    let asked = Instant::now();
    let text = "x".repeat(6_000);
    assert_eq!(says(&mut client, &text).await.unwrap(), text);
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn connections_beyond_the_most_wait_for_a_seat() {
    let proxy = Proxy::start("db", &spec(echo().await, Some(2))).unwrap();
    let (mut one, mut two) = (connect(&proxy).await, connect(&proxy).await);
    says(&mut one, "1").await.unwrap();
    says(&mut two, "2").await.unwrap();
    let mut three = connect(&proxy).await;
    three.write_all(b"3").await.unwrap();
    assert!(timeout(WHILE, three.read_u8()).await.is_err());
    assert_eq!(proxy.open_connections(), 2);
    drop(one);
    assert_eq!(hears(&mut three, 1).await.unwrap(), "3");
    // With every seat taken it still takes orders.
    proxy.set(Condition::Reset).await.unwrap();
    assert!(timeout(LONG, two.read_u8()).await.unwrap().is_err());
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_reset_and_an_address_that_is_taken_is_said() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start("db", &spec(gone, None)).unwrap();
    let ended = timeout(LONG, connect(&proxy).await.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
    let taken = ProxySpec { listen: proxy.address(), ..spec(gone, None) };
    let error = Proxy::start("cache", &taken).unwrap_err().to_string();
    assert!(error.contains("`cache`") && error.contains("proxies.cache.listen"), "{error}");
}

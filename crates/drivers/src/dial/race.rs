//! The race between the addresses of a name (RFC 8305, section 5).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How long an address is given before the next is tried beside it.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How a race ended.
pub(super) struct Raced<T> {
    /// The first that took the connection.
    pub(super) won: Option<(SocketAddr, T)>,
    /// So many addresses, from the first on, were tried.
    pub(super) tried: usize,
    /// The failure that says most.
    told: Option<io::Error>,
}

impl<T> Raced<T> {
    pub(super) fn into_result(self) -> io::Result<(SocketAddr, T)> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        self.won.ok_or_else(|| self.told.unwrap_or_else(none))
    }
}

/// Tries the addresses in their order, one more whenever an attempt has failed or [`ATTEMPT_DELAY`] has passed.
/// Attempts that didn't win are dropped, and with them their sockets.
pub(super) async fn race<T, F>(addresses: &[SocketAddr], attempt: impl Fn(SocketAddr) -> F) -> Raced<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut raced = Raced { won: None, tried: 0, told: None };
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(address) = waiting.next() {
            let attempt = attempt(address);
            attempts.push(async move { (address, attempt.await) });
            raced.tried += 1;
        }
        let ended = if waiting.len() == 0 {
            attempts.next().await
        } else {
            match tokio::time::timeout(ATTEMPT_DELAY, attempts.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some((address, Ok(stream))) => {
                raced.won = Some((address, stream));
                return raced;
            }
            Some((_, Err(error))) => {
                // A machine without IPv6 says of every such address that none is available, which is not why the
                // others failed.
                let says_more = |told: &io::Error| told.kind() == io::ErrorKind::AddrNotAvailable;
                if raced.told.as_ref().is_none_or(says_more) {
                    raced.told = Some(error);
                }
            }
            None if waiting.len() == 0 => return raced,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 1))
    }

    /// What each address does, by its last byte: after how long, and whether it takes the connection.
    async fn run(script: &'static [(u64, bool)]) -> (Raced<u8>, Duration) {
        let addresses: Vec<_> = (0..script.len()).map(|i| address(u8::try_from(i).unwrap())).collect();
        let start = Instant::now();
        let raced = race(&addresses, |address| async move {
            let SocketAddr::V4(v4) = address else { panic!("only these") };
            let last = v4.ip().octets()[3];
            let (after_ms, takes) = script[usize::from(last)];
            sleep(Duration::from_millis(after_ms)).await;
            if takes { Ok(last) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        })
        .await;
        (raced, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_what_it_gets_costs_one_delay() {
        let (raced, took) = run(&[(600_000, true), (10, true), (0, true)]).await;
        assert_eq!((raced.won.map(|(_, n)| n), raced.tried), (Some(1), 2));
        assert_eq!(took, Duration::from_millis(260));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_costs_nothing_and_the_slow_first_may_still_win() {
        let (raced, took) = run(&[(1, false), (1, true)]).await;
        assert_eq!((raced.won.map(|(_, n)| n), took), (Some(1), Duration::from_millis(2)));
        let (raced, took) = run(&[(300, true), (100, true)]).await;
        assert_eq!((raced.won.map(|(_, n)| n), took), (Some(0), Duration::from_millis(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_that_is_said_and_without_an_address_too() {
        let (raced, _) = run(&[(5, false), (1, false), (400, false)]).await;
        assert_eq!(raced.tried, 3);
        assert_eq!(raced.into_result().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(run(&[]).await.0.into_result().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn the_losers_are_closed() {
        struct Open(Rc<Cell<usize>>);
        impl Drop for Open {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let open = Rc::new(Cell::new(0));
        let addresses: Vec<_> = (0..4).map(address).collect();
        let raced = race(&addresses, |address| {
            open.set(open.get() + 1);
            let mine = Open(Rc::clone(&open));
            let takes = address == addresses[3];
            async move {
                if !takes {
                    std::future::pending::<()>().await;
                }
                Ok(mine)
            }
        })
        .await;
        assert_eq!((raced.tried, open.get()), (4, 1), "only the winner is still open");
    }
}

//! Names: looked up by the system, kept for a while, and handed out so that connections spread over their addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

/// How long an answer is used. The system doesn't say how long its answer holds; its resolver keeps to that and
/// answers from memory until then, so asking it this often follows a name as closely as asking by TTL.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// How long an address that did not take a connection in time is tried last.
const LAST_FOR: Duration = Duration::from_secs(30);
/// Most names that are kept: those that servers redirect to are chosen by them.
const NAMES_MAX: usize = 256;
/// Most addresses of a name that are used.
const ADDRESSES_MAX: usize = 64;

/// Why a name could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    /// There is no such name, or it has no address.
    #[error("{0}")]
    Failed(Arc<str>),
    /// Who asked went away before there was an answer.
    #[error("the look-up was stopped")]
    Stopped,
}

impl LookupError {
    /// The kind that is counted.
    pub(super) fn kind(&self) -> String {
        "connect: name not found".to_owned()
    }
}

type Found = Result<Arc<[IpAddr]>, LookupError>;
type Resolve = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// The names that were asked for.
pub(super) struct Names {
    resolve: Resolve,
    known: Mutex<BTreeMap<String, Name>>,
}

struct Name {
    /// When it was looked up, or began to be.
    asked: Instant,
    /// One look-up for all that wait.
    found: Shared<BoxFuture<'static, Found>>,
    /// Where the next connection begins in the addresses.
    turn: usize,
    /// Addresses that did not take a connection in time, and until when they are tried last.
    last: BTreeMap<IpAddr, Instant>,
}

impl Names {
    /// Names as this machine resolves them for everybody (`/etc/hosts`, DNS, and whatever else it is set up for).
    pub(super) fn of_the_system() -> Self {
        Self::of(Arc::new(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())))
    }

    pub(super) fn of(resolve: Resolve) -> Self {
        Self { resolve, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Name>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of a name in the order in which the next connection tries them.
    ///
    /// # Errors
    /// When it has none.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        let found = match self.found(host).await {
            // Another worker asked, and its runtime has ended.
            Err(LookupError::Stopped) => {
                self.lock().remove(host);
                self.found(host).await?
            }
            found => found?,
        };
        let now = Instant::now();
        let mut names = self.lock();
        let Some(name) = names.get_mut(host) else { return Ok(in_turn(&found, 0, |_| false)) };
        name.last.retain(|_, until| *until > now);
        let turn = name.turn;
        name.turn = turn.wrapping_add(1);
        Ok(in_turn(&found, turn, |address| name.last.contains_key(&address)))
    }

    fn found(&self, host: &str) -> Shared<BoxFuture<'static, Found>> {
        let now = Instant::now();
        let mut names = self.lock();
        if let Some(name) = names.get(host)
            && now.duration_since(name.asked) < KEPT_FOR
            && !matches!(name.found.peek(), Some(Err(_)))
        {
            return name.found.clone();
        }
        let found = self.look_up(host);
        match names.get_mut(host) {
            Some(name) => (name.asked, name.found) = (now, found.clone()),
            None => {
                if names.len() >= NAMES_MAX {
                    names.retain(|_, name| now.duration_since(name.asked) < KEPT_FOR);
                }
                if names.len() < NAMES_MAX {
                    let name = Name { asked: now, found: found.clone(), turn: 0, last: BTreeMap::new() };
                    names.insert(host.to_owned(), name);
                }
            }
        }
        found
    }

    fn look_up(&self, host: &str) -> Shared<BoxFuture<'static, Found>> {
        let (resolve, name) = (Arc::clone(&self.resolve), host.to_owned());
        let asked = tokio::task::spawn_blocking(move || resolve(&name));
        let found = async move {
            let failed = |words: String| Err(LookupError::Failed(words.into()));
            match asked.await {
                Ok(Ok(addresses)) => match once_each(addresses) {
                    none if none.is_empty() => failed("it has no address".to_owned()),
                    some => Ok(some.into()),
                },
                Ok(Err(error)) => failed(error.to_string()),
                Err(_) => Err(LookupError::Stopped),
            }
        };
        found.boxed().shared()
    }

    /// An address of a name did not take a connection in time.
    pub(super) fn failed(&self, host: &str, address: IpAddr) {
        if let Some(name) = self.lock().get_mut(host)
            && (name.last.len() < ADDRESSES_MAX || name.last.contains_key(&address))
        {
            name.last.insert(address, Instant::now() + LAST_FOR);
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("known", &self.lock().len()).finish_non_exhaustive()
    }
}

fn once_each(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for address in addresses {
        if !kept.contains(&address) && kept.len() < ADDRESSES_MAX {
            kept.push(address);
        }
    }
    kept
}

/// The families in turn (the one that the system prefers first), begun at another address each `turn`; those that are
/// `last` after all others.
fn in_turn(addresses: &[IpAddr], turn: usize, last: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let Some(preferred) = addresses.first().map(IpAddr::is_ipv6) else { return Vec::new() };
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|a| a.is_ipv6() == preferred);
    let mut order = Vec::with_capacity(addresses.len());
    for i in 0..first.len().max(second.len()) {
        order.extend(first.get(i));
        order.extend(second.get(i));
    }
    let (mut order, late): (Vec<IpAddr>, Vec<IpAddr>) = order.into_iter().partition(|a| !last(*a));
    if !order.is_empty() {
        let begin = turn % order.len();
        order.rotate_left(begin);
    }
    order.extend(late);
    order
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_each_connection_begins_at_another_address() {
        let found = ips(&["::1", "::2", "::3", "127.0.0.1"]);
        let never = |_| false;
        assert_eq!(in_turn(&found, 0, never), ips(&["::1", "127.0.0.1", "::2", "::3"]));
        assert_eq!(in_turn(&found, 5, never), ips(&["127.0.0.1", "::2", "::3", "::1"]));
        let slow = found[0];
        assert_eq!(in_turn(&found, 0, |a| a == slow), ips(&["127.0.0.1", "::2", "::3", "::1"]));
        assert_eq!(in_turn(&found, 7, |_| true).len(), 4, "when all are slow, all are tried");
        assert!(in_turn(&[], 3, never).is_empty());
    }

    fn counting(
        answers: impl Fn(usize) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> (Names, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        (Names::of(Arc::new(move |_| answers(count.fetch_add(1, Ordering::Relaxed)))), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_for_all_and_again_when_its_answer_is_old() {
        let (names, asked) = counting(|n| Ok(ips(if n == 0 { &["127.0.0.1"] } else { &["127.0.0.2"] })));
        let all = futures_util::future::join_all((0..50).map(|_| names.addresses("api.example"))).await;
        assert!(all.iter().all(|found| *found == Ok(ips(&["127.0.0.1"]))));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(KEPT_FOR).await;
        assert_eq!(names.addresses("api.example").await, Ok(ips(&["127.0.0.2"])), "the target moved");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!(names.addresses("[::1]").await, Ok(ips(&["::1"])));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "an address isn't looked up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_failed_is_tried_again() {
        let (names, asked) = counting(|n| match n {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(Vec::new()),
            _ => Ok(ips(&["127.0.0.1", "127.0.0.1"])),
        });
        for words in ["no such name", "it has no address"] {
            assert_eq!(names.addresses("api.example").await, Err(LookupError::Failed(words.into())));
        }
        assert_eq!(names.addresses("api.example").await, Ok(ips(&["127.0.0.1"])));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_was_too_slow_is_tried_last_for_a_while() {
        let (names, _) = counting(|_| Ok(ips(&["127.0.0.1", "127.0.0.2"])));
        assert_eq!(names.addresses("api.example").await, Ok(ips(&["127.0.0.1", "127.0.0.2"])));
        names.failed("api.example", ips(&["127.0.0.1"])[0]);
        for _ in 0..3 {
            assert_eq!(names.addresses("api.example").await, Ok(ips(&["127.0.0.2", "127.0.0.1"])));
        }
        tokio::time::advance(LAST_FOR).await;
        let first: Vec<_> = [names.addresses("api.example").await, names.addresses("api.example").await]
            .into_iter()
            .map(|found| found.unwrap()[0])
            .collect();
        assert!(first.contains(&ips(&["127.0.0.1"])[0]));
    }

    #[test]
    fn a_look_up_of_a_worker_that_has_ended_is_asked_again() {
        let (names, _) = counting(|_| Ok(ips(&["127.0.0.1"])));
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ended = runtime();
        let stopped: Shared<BoxFuture<'static, Found>> = std::future::ready(Err(LookupError::Stopped)).boxed().shared();
        ended.block_on(async {
            let name = Name { asked: Instant::now(), found: stopped, turn: 0, last: BTreeMap::new() };
            names.lock().insert("api.example".to_owned(), name);
        });
        drop(ended);
        assert_eq!(runtime().block_on(names.addresses("api.example")), Ok(ips(&["127.0.0.1"])));
    }
}

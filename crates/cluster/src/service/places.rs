//! Places for connections. Those who show a certificate of the run have places of their own; whoever has said nothing
//! of itself yet holds a place only until others need it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Connections that may be there without a certificate: they exchange a token, which takes a moment.
const NAMELESS_MAX: usize = 64;

/// The places of a service. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Places {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    last: u64,
    /// The oldest first.
    nameless: VecDeque<Nameless>,
    named: usize,
    named_max: usize,
}

#[derive(Debug)]
struct Nameless {
    number: u64,
    host: String,
    evicted: CancellationToken,
}

/// A place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    is_named: bool,
    /// Cancelled when others need the place.
    pub(super) evicted: CancellationToken,
}

impl Places {
    /// For so many connections with a certificate.
    pub(super) fn new(named_max: usize) -> Self {
        let shared = Shared { last: 0, nameless: VecDeque::new(), named: 0, named_max };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address` (host and port). Where there is none, the oldest connection without a
    /// certificate goes, of the host that has the most of them.
    pub(super) fn enter(&self, address: &str) -> Place {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let mut shared = self.shared();
        shared.last += 1;
        let (number, evicted) = (shared.last, CancellationToken::new());
        shared.nameless.push_back(Nameless { number, host, evicted: evicted.clone() });
        if shared.nameless.len() > NAMELESS_MAX
            && let Some(oldest) = shared.to_evict()
            && let Some(gone) = shared.nameless.remove(oldest)
        {
            gone.evicted.cancel();
        }
        Place { places: self.clone(), number, is_named: false, evicted }
    }
}

impl Shared {
    fn to_evict(&self) -> Option<usize> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for nameless in &self.nameless {
            *counts.entry(&nameless.host).or_default() += 1;
        }
        let most = counts.values().max()?;
        self.nameless.iter().position(|nameless| counts.get(nameless.host.as_str()) == Some(most))
    }
}

impl Place {
    /// Its connection showed a certificate of the run: it has a place that nobody without one can take. `false` where
    /// there are too many of those, too.
    pub(super) fn name(&mut self) -> bool {
        let mut shared = self.places.shared();
        if shared.named >= shared.named_max || self.evicted.is_cancelled() {
            return false;
        }
        shared.named += 1;
        let number = self.number;
        shared.nameless.retain(|nameless| nameless.number != number);
        drop(shared);
        self.is_named = true;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shared = self.places.shared();
        if self.is_named {
            shared.named -= 1;
        } else {
            let number = self.number;
            shared.nameless.retain(|nameless| nameless.number != number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_host_with_the_most_goes_and_who_has_a_certificate_stays() {
        let places = Places::new(2);
        let mut agent = places.enter("10.0.0.1:1");
        assert!(agent.name());
        let quiet = places.enter("10.0.0.2:1");
        let crowd: Vec<Place> = (0..200).map(|port| places.enter(&format!("[::1]:{port}"))).collect();
        let gone = crowd.iter().filter(|place| place.evicted.is_cancelled()).count();
        assert_eq!(gone, 200 + 1 - NAMELESS_MAX);
        assert!(crowd[..gone].iter().all(|place| place.evicted.is_cancelled()), "the oldest");
        assert!(!quiet.evicted.is_cancelled() && !agent.evicted.is_cancelled());
        let mut others: Vec<Place> = (0..2).map(|port| places.enter(&format!("10.0.0.3:{port}"))).collect();
        assert_eq!(others.iter_mut().map(Place::name).collect::<Vec<_>>(), [true, false], "of two, one was taken");
        drop((agent, crowd, others, quiet));
        let left = places.shared();
        assert_eq!((left.named, left.nameless.len()), (0, 0));
    }
}

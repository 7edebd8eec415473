//! The keys: values, expiry, memory, eviction.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use indexmap::IndexMap;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// What a key and its entry cost beyond their bytes, roughly.
const OVERHEAD: usize = 96;
/// Keys looked at to find one to evict, as Redis does.
const SAMPLES: usize = 5;
/// Keys looked at in one sweep for expired ones.
const SWEPT: usize = 200;

/// What a key holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Text(Bytes),
    /// A hash.
    Hash(IndexMap<Bytes, Bytes>),
}

impl Value {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Hash(fields) => fields.iter().map(|(f, v)| f.len() + v.len() + OVERHEAD).sum(),
        }
    }
}

struct Entry {
    value: Value,
    size: usize,
    expires: Option<Instant>,
    used: u64,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that didn't.
    pub misses: u64,
    /// Keys that reached their end.
    pub expired: u64,
    /// Keys that made room.
    pub evicted: u64,
}

/// All keys.
pub struct Keyspace {
    entries: IndexMap<Bytes, Entry>,
    memory: usize,
    memory_max: usize,
    tick: u64,
    random: SmallRng,
    count: Count,
}

/// The keyspace, whatever another connection's task came to.
pub fn lock(keyspace: &Mutex<Keyspace>) -> MutexGuard<'_, Keyspace> {
    keyspace.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keyspace {
    /// An empty one that keeps at most `memory_max` bytes.
    pub fn new(memory_max: usize) -> Self {
        Self {
            entries: IndexMap::new(),
            memory: 0,
            memory_max,
            tick: 0,
            random: SmallRng::seed_from_u64(0),
            count: Count::default(),
        }
    }

    /// The value of a key that has not expired; counts as a use.
    pub fn get(&mut self, key: &[u8], now: Instant) -> Option<&Value> {
        self.expire(key, now);
        self.tick += 1;
        let entry = self.entries.get_mut(key);
        match &entry {
            Some(_) => self.count.hits += 1,
            None => self.count.misses += 1,
        }
        entry.map(|entry| {
            entry.used = self.tick;
            &entry.value
        })
    }

    /// Whether the key is there; not a use.
    pub fn contains(&mut self, key: &[u8], now: Instant) -> bool {
        self.expire(key, now);
        self.entries.contains_key(key)
    }

    /// Sets a key; `expires` none: it stays.
    pub fn set(&mut self, key: &[u8], value: Value, expires: Option<Instant>) {
        self.tick += 1;
        let size = key.len() + value.size() + OVERHEAD;
        let entry = Entry { value, size, expires, used: self.tick };
        self.memory += size;
        // Copied: what arrived is a slice of a read buffer that would live as long.
        if let Some(old) = self.entries.insert(Bytes::copy_from_slice(key), entry) {
            self.memory -= old.size;
        }
        self.make_room(key);
    }

    /// When the key ends: `None` no such key, `Some(None)` never.
    pub fn expiry(&mut self, key: &[u8], now: Instant) -> Option<Option<Instant>> {
        self.expire(key, now);
        self.entries.get(key).map(|entry| entry.expires)
    }

    /// Sets the end of a key; false where there is none.
    pub fn set_expiry(&mut self, key: &[u8], expires: Option<Instant>, now: Instant) -> bool {
        self.expire(key, now);
        self.entries.get_mut(key).map(|entry| entry.expires = expires).is_some()
    }

    /// Removes a key; false where there was none.
    pub fn remove(&mut self, key: &[u8], now: Instant) -> bool {
        self.expire(key, now);
        self.drop_entry(key)
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.memory = 0;
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes used and the most that may be.
    pub const fn memory(&self) -> (usize, usize) {
        (self.memory, self.memory_max)
    }

    /// What happened so far.
    pub const fn count(&self) -> Count {
        self.count
    }

    /// Looks at some keys for expired ones.
    pub fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEPT.min(self.entries.len()) {
            // What is removed shrinks the map: the range is never empty, for a pass removes one at most.
            if self.entries.is_empty() {
                return;
            }
            let index = self.random.random_range(0..self.entries.len());
            if let Some((_, entry)) = self.entries.get_index(index)
                && entry.expires.is_some_and(|end| end <= now)
                && let Some((_, entry)) = self.entries.swap_remove_index(index)
            {
                self.memory -= entry.size;
                self.count.expired += 1;
            }
        }
    }

    fn expire(&mut self, key: &[u8], now: Instant) {
        if self.entries.get(key).and_then(|entry| entry.expires).is_some_and(|end| end <= now) {
            self.drop_entry(key);
            self.count.expired += 1;
        }
    }

    fn drop_entry(&mut self, key: &[u8]) -> bool {
        match self.entries.swap_remove(key) {
            Some(entry) => {
                self.memory -= entry.size;
                true
            }
            None => false,
        }
    }

    /// Evicts the least recently used of a few random keys until the rest fits; never `kept`,
    /// unless it alone is too much.
    fn make_room(&mut self, kept: &[u8]) {
        while self.memory > self.memory_max && !self.entries.is_empty() {
            let length = self.entries.len();
            let oldest = (0..SAMPLES)
                .map(|_| self.random.random_range(0..length))
                .filter(|&index| length == 1 || self.entries.get_index(index).is_some_and(|(key, _)| key != kept))
                .min_by_key(|&index| self.entries[index].used);
            if let Some((_, entry)) = oldest.and_then(|index| self.entries.swap_remove_index(index)) {
                self.memory -= entry.size;
                self.count.evicted += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(length: usize) -> Value {
        Value::Text(vec![b'x'; length].into())
    }

    #[test]
    fn a_key_ends_when_its_time_comes() {
        let mut keys = Keyspace::new(1 << 20);
        let now = Instant::now();
        keys.set(b"a", text(1), Some(now + Duration::from_secs(5)));
        assert!(keys.get(b"a", now + Duration::from_millis(4_999)).is_some());
        assert!(keys.get(b"a", now + Duration::from_secs(5)).is_none());
        assert_eq!((keys.memory().0, keys.count().expired), (0, 1));
    }

    #[test]
    fn memory_stays_bounded_and_what_is_used_stays() {
        let mut keys = Keyspace::new(100_000);
        let now = Instant::now();
        keys.set(b"hot", text(10), None);
        for i in 0..5_000 {
            keys.set(format!("key-{i}").as_bytes(), text(1_000), None);
            assert!(keys.get(b"hot", now).is_some(), "evicted at {i}");
            assert!(keys.memory().0 <= 100_000);
        }
        assert!(keys.count().evicted > 4_000);
    }

    #[test]
    fn a_sweep_finds_what_nobody_reads() {
        let mut keys = Keyspace::new(1 << 20);
        let now = Instant::now();
        for i in 0..100_u8 {
            keys.set(&[i], text(1), Some(now));
        }
        keys.sweep(now);
        keys.sweep(now);
        assert_eq!((keys.len(), keys.memory().0), (0, 0));
    }
}

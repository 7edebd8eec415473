//! Sees a worker that does not yield: an operation that holds its thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::realtime;
use slatest_core::model::Nanos;

/// How often a worker shows that its loop turns.
pub const BEAT: Duration = Duration::from_millis(50);
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(50);
/// A worker that makes no turn for so long stands still. Below it, the dispatch lag and the stalls of the machine say
/// all that there is to say.
const STILL: Duration = Duration::from_millis(500);
/// Most times of standing still that are kept; the oldest go first.
const KEPT_MAX: usize = 1_024;

/// What a worker shows of itself.
#[derive(Debug, Default)]
pub struct Pulse {
    turns: AtomicU64,
    over: AtomicBool,
}

impl Pulse {
    /// The worker's loop has turned once more.
    pub fn beat(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// The worker has ended.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What is known of one worker. Time passes by being told, so that every course can be tried.
#[derive(Debug, Default)]
struct Seen {
    turns: u64,
    /// Since when it makes no turn, by the watchdog's own turns: what the watchdog slept through (the machine stood
    /// still) is not the worker's.
    silent: Duration,
}

/// What all of them did.
#[derive(Debug, Default)]
struct Watched {
    workers: Vec<Seen>,
    /// Times in which one of them stood still, that are over: (from, to).
    still: VecDeque<(Instant, Instant)>,
    longest: Duration,
}

impl Watched {
    /// A look at `now`, `since` the last one: the turns of each worker, and whether it is over. Says whether one
    /// stands still.
    fn look(&mut self, now: Instant, since: Duration, pulses: &[(u64, bool)]) -> bool {
        self.workers.resize_with(pulses.len(), Seen::default);
        let mut any = false;
        for (seen, &(turns, over)) in self.workers.iter_mut().zip(pulses) {
            if over || turns != seen.turns {
                if seen.silent >= STILL {
                    if self.still.len() == KEPT_MAX {
                        self.still.pop_front();
                    }
                    self.still.push_back((now.checked_sub(seen.silent).unwrap_or(now), now));
                }
                *seen = Seen { turns, silent: Duration::ZERO };
                continue;
            }
            seen.silent += since.min(2 * LOOK);
            if seen.silent >= STILL {
                any = true;
                self.longest = self.longest.max(seen.silent);
            }
        }
        any
    }

    /// The longest time for which one of them stood still, of those that touch this one.
    fn touching(&self, from: Instant, to: Instant, now: Instant) -> Duration {
        let open = self.workers.iter().filter(|seen| seen.silent >= STILL);
        let open = open.map(|seen| (now.checked_sub(seen.silent).unwrap_or(now), now));
        let touches = |(since, until): &(Instant, Instant)| *since < to && *until > from;
        let length = |(since, until): (Instant, Instant)| until.saturating_duration_since(since);
        self.still.iter().copied().chain(open).filter(touches).map(length).max().unwrap_or_default()
    }
}

/// A thread that watches the workers. It has a class above theirs where they are real-time, and takes the class from
/// them when one stands still: nobody else would get that processor.
#[derive(Debug)]
pub struct Watchdog {
    done: Arc<AtomicBool>,
    watched: Arc<Mutex<Watched>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches from now on.
    pub fn start(pulses: Vec<Arc<Pulse>>) -> Self {
        let mut dog = Self { done: Arc::default(), watched: Arc::default(), thread: None };
        let (done, watched) = (Arc::clone(&dog.done), Arc::clone(&dog.watched));
        let watch = move || {
            if realtime::is_asked()
                && let Err(error) = realtime::enter_as_watchdog()
            {
                tracing::warn!(%error, "the watchdog has no real-time class");
            }
            let mut last = Instant::now();
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(LOOK);
                let now = Instant::now();
                let seen: Vec<(u64, bool)> = pulses
                    .iter()
                    .map(|one| (one.turns.load(Ordering::Relaxed), one.over.load(Ordering::Relaxed)))
                    .collect();
                let since = now.saturating_duration_since(last);
                let stands = watched.lock().unwrap_or_else(PoisonError::into_inner).look(now, since, &seen);
                if stands && realtime::is_asked() {
                    realtime::take_back();
                }
                last = now;
            }
        };
        // Without the thread there is just nobody to tell that a worker stands still.
        dog.thread = std::thread::Builder::new().name("watchdog".into()).spawn(watch).ok();
        dog
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workers that make no turn since so long.
    pub fn silent(&self, since: Duration) -> Vec<usize> {
        let watched = self.watched();
        watched.workers.iter().enumerate().filter(|(_, seen)| seen.silent >= since).map(|(i, _)| i).collect()
    }

    /// The longest time for which a worker stood still, of those that touch this one.
    pub fn stood_still(&self, from: Instant, to: Instant) -> Nanos {
        self.watched().touching(from, to, Instant::now()).into()
    }

    /// The longest time of all in which one stood still; zero where none did.
    pub fn longest(&self) -> Nanos {
        self.watched().longest.into()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_no_turn_stands_still_and_who_makes_some_does_not() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let mut watched = Watched::default();
        // The first makes its last turn at 1 s and its next at 3 s; the second always turns, the third has ended.
        let mut first_still = None;
        for look in 1..=80_u64 {
            let now = at(look * 50);
            let turns = if look <= 20 { look } else { 20 + look.saturating_sub(59) };
            if watched.look(now, LOOK, &[(turns, false), (look, false), (0, true)]) {
                first_still.get_or_insert(look * 50);
            }
        }
        assert_eq!(first_still, Some(1_500));
        assert_eq!(watched.longest, Duration::from_millis(1_950));
        assert_eq!(watched.still.iter().copied().collect::<Vec<_>>(), [(at(1_050), at(3_000))]);
        let touching = |from, to| watched.touching(at(from), at(to), at(4_000)).as_millis();
        assert_eq!(
            [touching(0, 1_000), touching(1_000, 1_100), touching(2_900, 3_000), touching(3_000, 4_000)],
            [0, 1_950, 1_950, 0]
        );
    }

    #[test]
    fn what_the_machine_slept_through_is_not_the_workers() {
        let mut watched = Watched::default();
        let zero = Instant::now();
        // Neither ran for an hour.
        assert!(!watched.look(zero, LOOK, &[(7, false)]));
        assert!(!watched.look(zero + Duration::from_secs(3_600), Duration::from_secs(3_600), &[(7, false)]));
        assert_eq!(watched.longest, Duration::ZERO);
    }

    #[test]
    fn who_still_stands_still_is_seen_in_every_window_until_now() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let mut watched = Watched::default();
        watched.look(zero, LOOK, &[(1, false)]);
        (1..=40_u64).for_each(|look| {
            watched.look(at(look * 50), LOOK, &[(1, false)]);
        });
        assert_eq!(watched.touching(at(1_000), at(1_100), at(2_000)), Duration::from_secs(2));
        assert_eq!(watched.longest, Duration::from_secs(2));
    }
}

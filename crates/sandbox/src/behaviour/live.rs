//! The behaviour in force: drawn from by every request, replaced while requests run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio::time::Instant;

use super::pause::pause;
use super::queue::Queue;
use super::{Behaviour, EVERY, OPERATIONS, OperationBehaviour};

/// How a misbehaving operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Work,
    /// With this HTTP status instead of the work.
    Error(u16),
    /// Blocked as a web application firewall would.
    Blocked,
}

/// What was drawn for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misbehaviour {
    /// Time to add.
    pub delay: Duration,
    /// How it ends.
    pub ending: Ending,
}

impl Misbehaviour {
    /// Waits for the time to add.
    pub async fn wait(&self) {
        pause(self.delay).await;
    }
}

struct Rule {
    says: OperationBehaviour,
    random: Mutex<ChaCha8Rng>,
    queue: Option<Arc<Queue>>,
}

struct Table {
    given: Behaviour,
    since: Instant,
    /// Only the operations that misbehave.
    rules: HashMap<&'static str, Rule>,
}

impl Table {
    fn new(given: Behaviour) -> Self {
        let own = |name: &str| given.operations.get(name)?.capacity.and_then(Queue::new).map(Arc::new);
        let shared = own(EVERY);
        let rules = OPERATIONS
            .iter()
            .zip(0_u64..)
            .filter_map(|(&name, stream)| {
                let says = given.of(name);
                if says == OperationBehaviour::default() {
                    return None;
                }
                let mut random = ChaCha8Rng::seed_from_u64(given.seed);
                // A stream each: what one operation draws doesn't hang on how often another was asked.
                random.set_stream(stream);
                let queue = own(name).or_else(|| shared.clone());
                Some((name, Rule { says, random: Mutex::new(random), queue }))
            })
            .collect();
        Self { given, since: Instant::now(), rules }
    }

    fn frozen_for(&self, operation: &str) -> Option<Duration> {
        self.rules.get(operation)?.says.stall?.remaining(self.since.elapsed())
    }
}

/// The behaviour in force. Clones share it.
#[derive(Clone)]
pub struct Behaviours {
    table: Arc<watch::Sender<Arc<Table>>>,
}

impl Behaviours {
    /// Starts with `behaviour`.
    pub fn new(behaviour: Behaviour) -> Self {
        Self { table: Arc::new(watch::Sender::new(Arc::new(Table::new(behaviour)))) }
    }

    /// Replaces it: draws and stalls begin anew, requests that a stall holds are released unless
    /// the new behaviour holds them too.
    pub fn replace(&self, behaviour: Behaviour) {
        self.table.send_replace(Arc::new(Table::new(behaviour)));
    }

    /// What was last set.
    pub fn given(&self) -> Behaviour {
        self.table.borrow().given.clone()
    }

    /// One draw for one request of `operation`; `None` where it behaves.
    pub fn draw(&self, operation: &str) -> Option<Misbehaviour> {
        let table = self.table.borrow();
        let rule = table.rules.get(operation)?;
        let mut random = rule.random.lock().unwrap_or_else(PoisonError::into_inner);
        let delay = rule.says.latency.map_or(Duration::ZERO, |latency| latency.draw(&mut *random));
        let mut hit = |share: f64| share > 0.0 && random.random_bool(share.min(1.0));
        let ending = if rule.says.block.is_some_and(|share| hit(share.0)) {
            Ending::Blocked
        } else if let Some(error) = rule.says.error.filter(|error| hit(error.rate.0)) {
            Ending::Error(error.status)
        } else {
            Ending::Work
        };
        drop(random);
        match rule.queue.as_ref().map_or(Some(Duration::ZERO), |queue| queue.join(Instant::now())) {
            Some(turn) => Some(Misbehaviour { delay: turn + delay, ending }),
            None => Some(Misbehaviour { delay: Duration::ZERO, ending: Ending::Error(503) }),
        }
    }

    /// How long answers of `operation` stay frozen from now on; `None` where they aren't.
    pub fn frozen_for(&self, operation: &str) -> Option<Duration> {
        self.table.borrow().frozen_for(operation)
    }

    /// Returns when no stall holds `operation`: at once where there is none.
    pub async fn thaw(&self, operation: &str) {
        if self.frozen_for(operation).is_none() {
            return;
        }
        let mut changes = self.table.subscribe();
        loop {
            let left = changes.borrow_and_update().frozen_for(operation);
            let Some(left) = left else { return };
            tokio::select! {
                () = pause(left) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> Behaviours {
        Behaviours::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn errors_come_at_their_rate_and_the_same_for_one_seed() {
        let draw = || {
            let behaviours = with(r#"{"seed":11,"operations":{"create-task":{"error":"1%:500"}}}"#);
            (0..20_000).map(|_| behaviours.draw("create-task").unwrap().ending).collect::<Vec<_>>()
        };
        let endings = draw();
        let errors = endings.iter().filter(|&&e| e == Ending::Error(500)).count();
        // n p = 200, standard deviation 14.1: five of them to each side.
        assert!((130..=270).contains(&errors), "{errors}");
        assert_eq!(endings, draw());
    }

    #[test]
    fn an_operation_that_nothing_is_said_of_behaves() {
        let behaviours = with(r#"{"operations":{"create-task":{"error":"100%"}}}"#);
        assert_eq!(behaviours.draw("get-task"), None);
        assert_eq!(behaviours.draw("create-task").unwrap().ending, Ending::Error(503));
    }

    #[test]
    fn a_capacity_of_all_is_one_server_for_all() {
        let behaviours = with(r#"{"operations":{"*":{"capacity":"10/s"},"me":{"capacity":"1/s"}}}"#);
        let delays = ["get-task", "create-task", "me"].map(|name| behaviours.draw(name).unwrap().delay.as_secs_f64());
        for (delay, expected) in delays.into_iter().zip([0.1, 0.2, 1.0]) {
            assert!(delay <= expected && delay > expected - 0.05, "{delays:?}");
        }
    }

    #[tokio::test]
    async fn a_new_behaviour_releases_what_a_stall_holds() {
        let behaviours = with(r#"{"operations":{"*":{"stall":"1h"}}}"#);
        let held = tokio::spawn({
            let behaviours = behaviours.clone();
            async move { behaviours.thaw("get-task").await }
        });
        while behaviours.table.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!held.is_finished());
        behaviours.replace(Behaviour::default());
        held.await.unwrap();
    }
}

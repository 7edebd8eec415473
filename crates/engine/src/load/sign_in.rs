//! What each user does once, such as signing in: when it is due, and how it is spread over the warm-up.

use std::cell::Cell;
use std::rc::Rc;

use tokio_util::sync::CancellationToken;

use super::execution::Job;
use super::scenario_runner::ScenarioRunner;
use slatest_core::model::Nanos;
use slatest_drivers::{Lifetime, Session};

/// It is done again when a tenth of the lifetime is left, but no earlier than this before its end.
const MARGIN_MAX: Nanos = Nanos::from_secs(30);
/// Longest lifetime that an answer can claim.
const LIFETIME_MAX: Nanos = Nanos::from_secs(366 * 24 * 3600);
/// The part of the warm-up over which users sign in: what they begin ends before anything is judged.
const SPREAD: f64 = 0.9;

/// What a user's first act earned: until when it is good.
#[derive(Debug, Default)]
pub struct Pass {
    /// When it is to be done again; `None`: it was not done yet.
    renewed_at: Cell<Option<Nanos>>,
}

impl Pass {
    /// Whether it is to be done before anything else.
    pub fn is_due(&self, now: Nanos) -> bool {
        self.renewed_at.get().is_none_or(|at| now >= at)
    }

    /// It is good for nothing any more.
    pub fn forget(&self) {
        self.renewed_at.set(None);
    }

    /// It was earned at `now`.
    ///
    /// # Errors
    /// The kind, when the answer didn't say how long it is good for.
    pub fn earned(&self, now: Nanos, lifetime: &Lifetime, session: &dyn Session) -> Result<(), String> {
        let lifetime = match lifetime {
            Lifetime::Endless => Nanos::MAX,
            Lifetime::Fixed(lifetime) => *lifetime,
            Lifetime::Captured(name) => {
                session.captured(name).and_then(seconds).ok_or_else(|| format!("{name} is no number of seconds"))?
            }
        };
        let margin = Nanos(lifetime.0 / 10).min(MARGIN_MAX);
        self.renewed_at.set(Some(Nanos(now.0.saturating_add((lifetime - margin).0))));
        Ok(())
    }
}

fn seconds(text: &str) -> Option<Nanos> {
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Nanos::from_secs_f64(seconds.min(LIFETIME_MAX.as_secs_f64())))
}

/// Lets the users of a runner sign in one after another over the warm-up, so that none of it falls into what is judged.
/// A user whose arrival comes first signs in then; without a warm-up all do.
pub async fn spread(runner: Rc<ScenarioRunner>, stop: CancellationToken) {
    let (start, warm_up) = (runner.scenario().start, runner.scenario().warm_up);
    if warm_up == Nanos::ZERO || !runner.does_once() {
        return;
    }
    let users = runner.roster().users();
    let between = warm_up.as_secs_f64() * SPREAD / users.len().max(1) as f64;
    for (place, slot) in users.iter().enumerate() {
        let at = start + Nanos::from_secs_f64(between * (place as f64 + 0.5));
        let now = runner.in_flight().clock.now();
        if at > now {
            tokio::select! {
                () = tokio::time::sleep((at - now).as_duration()) => {}
                () = stop.cancelled() => return,
            }
        }
        let now = runner.in_flight().clock.now();
        if slot.pass.is_due(now) && runner.roster().take_this(slot) {
            let ticket = runner.begin_once(now);
            slot.give(Job { seq: slot.number, item: None, ticket, signs_in: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::LocalBoxFuture;
    use slatest_core::model::{Arrival, Completion};

    struct Says(&'static str);

    impl Session for Says {
        fn execute<'a>(&'a mut self, _: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
            Box::pin(std::future::pending())
        }
        fn captured(&self, _: &str) -> Option<&str> {
            Some(self.0)
        }
    }

    fn due_after(lifetime: &Lifetime, says: &'static str) -> Result<Nanos, String> {
        let pass = Pass::default();
        let now = Nanos::from_secs(100);
        assert!(pass.is_due(now));
        pass.earned(now, lifetime, &Says(says))?;
        Ok(pass.renewed_at.get().unwrap() - now)
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        assert_eq!(due_after(&Lifetime::Fixed(Nanos::from_secs(100)), ""), Ok(Nanos::from_secs(90)));
        assert_eq!(due_after(&Lifetime::Fixed(Nanos::from_secs(3600)), ""), Ok(Nanos::from_secs(3570)));
        let captured = Lifetime::Captured("expires_in".into());
        assert_eq!(due_after(&captured, "60"), Ok(Nanos::from_secs(54)));
        assert_eq!(due_after(&captured, "0"), Ok(Nanos::ZERO));
        let pass = Pass::default();
        pass.earned(Nanos::from_secs(1), &Lifetime::Endless, &Says("")).unwrap();
        assert!(!pass.is_due(Nanos::from_secs(1 << 30)));
        pass.forget();
        assert!(pass.is_due(Nanos::ZERO));
    }

    #[test]
    fn what_a_server_says_of_a_lifetime_is_bounded() {
        let captured = Lifetime::Captured("expires_in".into());
        for wrong in ["soon", "-1", "", "NaN"] {
            assert!(due_after(&captured, wrong).is_err(), "{wrong}");
        }
        assert!(due_after(&captured, "1e300").unwrap() <= LIFETIME_MAX);
        assert!(due_after(&captured, "inf").unwrap() <= LIFETIME_MAX);
    }
}

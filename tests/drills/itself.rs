//! The measure is measured: without the program, the observer sees what the target says that it did.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deeds::Deed;
use crate::machine::measured;
use crate::observer::Observer;
use crate::scratch::wait_for;
use crate::stage::{PATIENCE, Stage};

/// Waits until so much time has gone by, and at least that.
fn pass(time: Duration) {
    let since = Instant::now();
    wait_for("the clock", || since.elapsed() >= time);
}

#[test]
fn the_observer_sees_an_outage_as_the_target_made_it() {
    measured(|| {
        let stage = Stage::new();
        for manner in ["unavailable", "silent"] {
            let observer = Observer::begin(stage.service, "/serve", Duration::from_millis(250), &stage.log());
            pass(Duration::from_millis(300));
            let before = Timestamp::now();
            stage.tell(&format!("outage=800&manner={manner}"));
            pass(Duration::from_millis(1300));
            let seen = observer.end();
            let outage = stage.deeds().into_iter().rev().find_map(|deed| match deed {
                Deed::Outage { from, until } => Some((from, until)),
                _ => None,
            });
            let (from, until) = outage.expect("an outage");
            let observed = seen.outage(before - PATIENCE, Timestamp::MAX).expect("it was seen");
            assert!(observed.stopped.0 <= from && from <= observed.stopped.1, "{manner}: {from} {observed:?}");
            let back = observed.back.expect("it came back");
            assert!(back.0 <= until && until <= back.1, "{manner}: {until} {observed:?}");
        }
    });
}

#[test]
fn the_observer_sees_a_process_die_and_come_back() {
    measured(|| {
        let stage = Stage::new();
        let observer = Observer::begin(stage.service, "/serve", PATIENCE, &stage.log());
        pass(Duration::from_millis(200));
        let before = Timestamp::now();
        kill(Pid::from_raw(stage.pid()), Signal::SIGKILL).expect("it can be killed");
        let killed = Timestamp::now();
        pass(Duration::from_millis(500));
        let restarting = Timestamp::now();
        stage.start_target();
        pass(Duration::from_millis(300));
        let observed = observer.end().outage(before - PATIENCE, Timestamp::MAX).expect("it was seen");
        assert!(observed.stopped.0 <= killed && observed.stopped.1 >= before, "{killed} {observed:?}");
        let back = observed.back.expect("it came back");
        assert!(back.1 > restarting, "{restarting} {observed:?}");
        let listens = stage.deeds().into_iter().rev().find_map(|deed| match deed {
            Deed::Listens { at } => Some(at),
            _ => None,
        });
        assert!(
            back.0 <= listens.expect("it listens") && back.1.duration_since(restarting).is_positive(),
            "{observed:?}"
        );
        assert!(observed.failed > 0);
    });
}

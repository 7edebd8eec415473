//! Whether this machine had so much other work that nothing can be measured on it.

use std::io::Write as _;
use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// How often a case is played at most.
const TRIES: u32 = 3;
/// Somebody waits for a processor for so much of the time: others have more work than this machine can do.
const CROWDED: f64 = 0.6;

/// For how long, since it was started, somebody had to wait for a processor; `None` where the kernel doesn't say.
fn waited() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/pressure/cpu").ok()?;
    let some = text.lines().find(|line| line.starts_with("some"))?;
    some.rsplit_once("total=")?.1.trim().parse().ok().map(Duration::from_micros)
}

/// Plays a case that measures. One that fails on a crowded machine says nothing, and is played once more; after some
/// tries that is said, and nothing else. On a machine that has time for it, every failure is one.
pub fn measured(case: impl Fn() + RefUnwindSafe) {
    for attempt in 1..=TRIES {
        let (before, since) = (waited(), Instant::now());
        let Err(panic) = catch_unwind(&case) else { return };
        let share = waited().zip(before).map_or(0.0, |(after, before)| {
            after.saturating_sub(before).as_secs_f64() / since.elapsed().as_secs_f64().max(0.001)
        });
        if share < CROWDED {
            resume_unwind(panic);
        }
        let share = share * 100.0;
        let _ =
            writeln!(std::io::stderr(), "try {attempt} says nothing: a processor was waited for in {share:.0} % of it");
    }
    // Not by a macro, whose words are only shown of tests that fail.
    let _ = writeln!(std::io::stderr(), "VOID: a drill was not measured: this machine is too busy");
}

//! Little's law, L = λW, as a check of the recorder: the time that operations were under way by the engine's clock is
//! the time that they took by what was recorded of them.

use super::super::check::{Check, Effect};

/// The two may differ by this share of the greater…
const SHARE_MAX: f64 = 0.05;
/// …and by this for each operation, in seconds: an answer that has come waits for its worker.
const EACH_MAX_SECS: f64 = 0.001;

/// The time that operations were under way over a whole run, in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnderWay {
    /// By the engine's clock, when they were fired and when their ends were reported.
    pub by_clock_secs: f64,
    /// By the recorded times, from the firing to the end.
    pub recorded_secs: f64,
    /// How many operations were recorded with a time.
    pub operations: u64,
    /// Of how many there is no time, because nothing ended them.
    pub without_time: u64,
    /// How long it ran, in seconds.
    pub length_secs: f64,
}

/// Said where there is enough to say it of: of what never ended no time is known.
pub(super) fn check(of: &UnderWay) -> Option<Check> {
    if of.operations < 100 || of.without_time * 100 > of.operations || of.length_secs <= 0.0 || of.by_clock_secs <= 0.0
    {
        return None;
    }
    let greater = of.by_clock_secs.max(of.recorded_secs);
    // What has no time was under way for as long as the others on average, at a guess.
    let unknown = greater * of.without_time as f64 / of.operations as f64;
    let tolerance = SHARE_MAX * greater + EACH_MAX_SECS * of.operations as f64 + 2.0 * unknown;
    let mean = |secs: f64| secs / of.length_secs;
    let broken = ((of.by_clock_secs - of.recorded_secs).abs() > tolerance).then_some(
        "the recorded times are not those for which operations were under way: a defect of slatest; please report it \
         with the run's folder",
    );
    let measured = format!("{:.2} by the clock, {:.2} by the times", mean(of.by_clock_secs), mean(of.recorded_secs));
    let bound = format!("equal within {:.2}", mean(tolerance));
    Some(Check::new("mean under way", Effect::Void, measured, bound, broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(by_clock_secs: f64, recorded_secs: f64, without_time: u64) -> Option<bool> {
        let of = UnderWay { by_clock_secs, recorded_secs, operations: 1_000, without_time, length_secs: 10.0 };
        check(&of).map(|check| check.holds)
    }

    #[test]
    fn time_that_is_lost_or_invented_is_found() {
        assert_eq!(holds(50.0, 50.0, 0), Some(true));
        assert_eq!([holds(50.0, 40.0, 0), holds(40.0, 50.0, 0)], [Some(false); 2]);
        // Of 0.3 ms each, a tenth of a millisecond is the worker's.
        assert_eq!(holds(0.4, 0.3, 0), Some(true));
        assert_eq!(holds(50.0, 40.0, 100), None);
    }
}

//! What an agent says when its part of the run is over.

use super::CodecError;
use crate::wire;
use slatest_core::model::Nanos;
use slatest_engine::load::{Resources, ScenarioFinding, Scheduling};
use slatest_stats::GAPS_MAX;

/// Most findings that one agent may have.
const FINDINGS_MAX: usize = 10_000;
/// Longest text of a finding, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;
/// Most seconds (or cores) that anything can have taken: a thousand years of them.
const SECONDS_MAX: f64 = 3.2e10;

/// What an agent's process used.
///
/// # Errors
/// When it holds numbers that nothing can have used.
pub fn resources(from: &wire::Resources) -> Result<Resources, CodecError> {
    let amounts = [from.cores, from.cpu_secs, from.wall_secs, from.run_queue_secs, from.machine_cores];
    let unsure = [from.steal_secs, from.quota_cores];
    let possible = |amount: f64| (0.0..=SECONDS_MAX).contains(&amount);
    if !amounts.into_iter().chain(unsure.into_iter().flatten()).all(possible) {
        return Err(CodecError::Impossible);
    }
    Ok(Resources {
        workers: usize::try_from(from.workers).map_err(|_| CodecError::Impossible)?,
        cores: from.cores,
        cpu_secs: from.cpu_secs,
        wall_secs: from.wall_secs,
        rss_bytes_max: from.rss_bytes_max,
        stall_max: Nanos(from.stall_max_ns),
        stall_total: Nanos(from.stall_total_ns),
        run_queue_secs: from.run_queue_secs,
        steal_secs: from.steal_secs,
        machine_cores: from.machine_cores,
        suspended: Nanos(from.suspended_ns),
        clock_step: Nanos(from.clock_step_ns),
        open_files_max: from.open_files_max,
        open_files_limit: from.open_files_limit,
        quota_cores: from.quota_cores,
        quota_periods: from.quota_periods,
        throttled_periods: from.throttled_periods,
        throttled: Nanos(from.throttled_ns),
        silent_max: Nanos(from.silent_max_ns),
        workers_lost: from.workers_lost,
        scheduling: match from.scheduling() {
            wire::Scheduling::Ordinary => Scheduling::Ordinary,
            wire::Scheduling::Realtime => Scheduling::Realtime,
            wire::Scheduling::TakenBack => Scheduling::TakenBack,
        },
        // Agents keep no ledger.
        writes_missed: 0,
    })
}

/// The reverse of [`resources`].
pub const fn write_resources(from: &Resources) -> wire::Resources {
    wire::Resources {
        workers: from.workers as u64,
        cores: from.cores,
        cpu_secs: from.cpu_secs,
        wall_secs: from.wall_secs,
        rss_bytes_max: from.rss_bytes_max,
        stall_max_ns: from.stall_max.0,
        stall_total_ns: from.stall_total.0,
        run_queue_secs: from.run_queue_secs,
        steal_secs: from.steal_secs,
        machine_cores: from.machine_cores,
        suspended_ns: from.suspended.0,
        clock_step_ns: from.clock_step.0,
        open_files_max: from.open_files_max,
        open_files_limit: from.open_files_limit,
        quota_cores: from.quota_cores,
        quota_periods: from.quota_periods,
        throttled_periods: from.throttled_periods,
        throttled_ns: from.throttled.0,
        silent_max_ns: from.silent_max.0,
        workers_lost: from.workers_lost,
        scheduling: match from.scheduling {
            Scheduling::Ordinary => wire::Scheduling::Ordinary as i32,
            Scheduling::Realtime => wire::Scheduling::Realtime as i32,
            Scheduling::TakenBack => wire::Scheduling::TakenBack as i32,
        },
    }
}

/// What an agent's workloads found out.
///
/// # Errors
/// When there are more than 10,000, or a text is longer than 4 KiB.
pub fn findings(from: &[wire::Finding]) -> Result<Vec<ScenarioFinding>, CodecError> {
    if from.len() > FINDINGS_MAX {
        return Err(CodecError::TooMuch("findings"));
    }
    let long = |f: &wire::Finding| [&f.scenario, &f.check, &f.detail].into_iter().any(|t| t.len() > TEXT_BYTES_MAX);
    if from.iter().any(long) {
        return Err(CodecError::TooMuch("the text of a finding"));
    }
    let finding = |f: &wire::Finding| ScenarioFinding {
        scenario: f.scenario.clone(),
        check: f.check.clone(),
        holds: f.holds,
        detail: f.detail.clone(),
    };
    Ok(from.iter().map(finding).collect())
}

/// The reverse of [`findings`]; a text beyond the bound is cut.
pub fn write_finding(from: &ScenarioFinding) -> wire::Finding {
    let cut = |text: &str| text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    wire::Finding {
        scenario: cut(&from.scenario),
        check: cut(&from.check),
        holds: from.holds,
        detail: cut(&from.detail),
    }
}

/// An agent's gaps between arrivals, as uniforms under the planned law.
///
/// # Errors
/// When there are more than anybody takes, or they are no uniforms.
pub fn arrival_law(from: &[f64]) -> Result<Vec<f64>, CodecError> {
    if from.len() > GAPS_MAX {
        return Err(CodecError::TooMuch("gaps between arrivals"));
    }
    if from.iter().all(|uniform| (0.0..=1.0).contains(uniform)) {
        Ok(from.to_vec())
    } else {
        Err(CodecError::Impossible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used() -> Resources {
        Resources {
            workers: 2,
            cores: 1.5,
            cpu_secs: 12.25,
            wall_secs: 60.0,
            rss_bytes_max: 1,
            stall_max: Nanos(2),
            stall_total: Nanos(3),
            run_queue_secs: 0.125,
            steal_secs: Some(0.5),
            machine_cores: 2.0,
            suspended: Nanos(4),
            clock_step: Nanos(5),
            open_files_max: 6,
            open_files_limit: 7,
            writes_missed: 0,
            quota_cores: Some(0.025),
            quota_periods: 40,
            throttled_periods: 21,
            throttled: Nanos(8),
            silent_max: Nanos(9),
            workers_lost: 1,
            scheduling: Scheduling::TakenBack,
        }
    }

    #[test]
    fn what_was_used_comes_back() {
        assert_eq!(resources(&write_resources(&used())).unwrap(), used());
        let unknown = Resources { steal_secs: None, ..used() };
        assert_eq!(resources(&write_resources(&unknown)).unwrap(), unknown);
    }

    #[test]
    fn what_nothing_can_have_used_is_refused() {
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let from = wire::Resources { cpu_secs: wrong, ..write_resources(&used()) };
            assert_eq!(resources(&from), Err(CodecError::Impossible), "{wrong}");
            let from = wire::Resources { steal_secs: Some(wrong), ..write_resources(&used()) };
            assert_eq!(resources(&from), Err(CodecError::Impossible), "{wrong}");
            assert_eq!(arrival_law(&[0.5, wrong]), Err(CodecError::Impossible), "{wrong}");
        }
        assert_eq!(arrival_law(&vec![0.5; GAPS_MAX + 1]), Err(CodecError::TooMuch("gaps between arrivals")));
    }

    #[test]
    fn findings_come_back_within_bounds() {
        let finding = |detail: String| ScenarioFinding {
            scenario: "sync".to_owned(),
            check: "converged".to_owned(),
            holds: false,
            detail,
        };
        let short = finding("3 of 40 replicas differ".to_owned());
        assert_eq!(findings(&[write_finding(&short)]).unwrap(), [short]);
        let long = finding("ä".repeat(TEXT_BYTES_MAX));
        let cut = write_finding(&long);
        assert_eq!(cut.detail.len(), TEXT_BYTES_MAX);
        assert!(findings(std::slice::from_ref(&cut)).is_ok());
        let whole = wire::Finding { detail: long.detail, ..cut.clone() };
        assert_eq!(findings(&[whole]), Err(CodecError::TooMuch("the text of a finding")));
        assert_eq!(findings(&vec![cut; FINDINGS_MAX + 1]), Err(CodecError::TooMuch("findings")));
    }
}

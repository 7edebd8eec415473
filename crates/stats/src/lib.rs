//! Objectives: the statistics that turn counts into verdicts, and the checks of the run itself.
//! Pure: knows no plan and no I/O.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arrival_law;
mod batches;
mod beta;
mod binomial;
#[cfg(test)]
mod characteristics;
mod check;
mod holm;
mod incidents;
mod judged;
mod nights;
mod power;
mod quantile;
mod recovery;
mod repeats;
mod sequence;
mod steady;
mod stretch;
mod student;
mod throughput;
mod trend;
mod validity;

pub use arrival_law::{ARRIVAL_LAW_BOUND, GAPS_MAX, anderson_darling, gap_to_uniform};
pub use batches::{
    BATCHES, Batch, BatchJudgement, Worth, at_least, at_most, judge_batches_above, judge_batches_below, worth,
    worth_of_one,
};
pub use binomial::{ALPHA, Interval, Judgement, clopper_pearson, fewest_for_pass, judge_above, judge_below};
pub use check::{Check, Effect};
pub use holm::holm;
pub use incidents::{BadRow, bad_rows, is_bad};
pub use judged::{BadStretch, JudgedObjective, Reading};
pub use nights::{
    BATCHES_MAX as COMPARED_BATCHES_MAX, BATCHES_MIN as COMPARED_BATCHES_MIN, Batched, Compared, Comparing, Difference,
    MEANINGFUL, NIGHTS_MAX, NIGHTS_MIN, NIGHTS_RECENT, NightFacts, NightShift, Nights, compare, mann_whitney_greater,
    night_shift,
};
pub use power::{POWER, chance_of_pass, samples_for_power, samples_to_tell, samples_without_bad};
pub use quantile::{Ranks, effective_ranks, quantile_rank, quantile_ranks};
pub use recovery::{
    Asked, CELLS_MAX, Cells, Component, ComponentRecovery, DrillEnd, Flaw, Heal, JudgedDrill, JudgedLedger, JudgedPart,
    JudgedRecovery, LedgerFindings, LedgerFound, LedgerOf, LossRate, Losses, LostWrite, LostWrites, Mark, Promise,
    Restored, Rule, Watched, WindowState, fewest_operations, judge_ledger, judge_losses, judge_rto, picture, recovery,
};
pub use repeats::{Distribution, Outage, RepeatFigure, Repeats, SHARES, Went, distribution, percent};
pub use sequence::{ends, ends_at};
pub use steady::{Steady, SteadyLimit};
pub use stretch::{Stretch, worst_stretch};
pub use throughput::poisson_interval;
pub use trend::{TREND_Z, mann_kendall, trend_p_value};
pub use validity::{AgentEvidence, BLOCKED_SHARE_MAX, Evidence, LAG_SHARE_MAX, UnderWay, validity};

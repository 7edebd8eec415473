//! Objectives: the statistics that turn counts into verdicts, and the checks of the run itself.
//! Pure: knows no plan and no I/O.

mod beta;
mod binomial;
mod judged;
mod power;
mod quantile;
mod throughput;
mod validity;

pub use binomial::{ALPHA, Interval, Judgement, clopper_pearson, fewest_for_pass, judge_above, judge_below};
pub use judged::{JudgedObjective, Reading};
pub use power::{POWER, chance_of_pass, samples_for_power, samples_without_bad};
pub use quantile::{Ranks, quantile_rank, quantile_ranks};
pub use throughput::poisson_interval;
pub use validity::{BLOCKED_SHARE_MAX, Check, Effect, Evidence, validity};

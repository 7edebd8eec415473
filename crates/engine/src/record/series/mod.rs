//! The account of a series (`series.json`): a profile with drills, run again and again.

mod repeat;
#[cfg(any(test, feature = "samples"))]
pub mod sample;
mod summary;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Machine, RunRecord, TargetRecord};
pub use repeat::{ComponentRepeat, DrillRepeat, LossRepeat, ObjectiveRepeat, Repeat};
use slatest_core::model::{Nanos, Verdict, redact};
pub use summary::{ComponentSummary, DrillSummary, LossSummary, Missing, ObjectiveSummary};

/// Name of the account in a series' folder.
pub const SERIES_FILE: &str = "series.json";
/// Version of the format of `series.json`.
pub const SERIES_VERSION: u32 = 1;
/// Most repeats of a series.
pub const REPEATS_MAX: u64 = 1_000;

/// Why a series ended before all its repeats were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedEarly {
    /// Its user ended it.
    Interrupted,
    /// What was broken was not mended, or not sound again in time: how. Somebody must look after the target.
    LeftBroken(String),
    /// The next repeat could not be run: why.
    NotRun(String),
}

/// The repeat that is under way; in the account of a series that was killed, the one whose folder says what may have
/// to be healed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Which, from 1.
    pub number: u64,
    /// Its seed.
    pub seed: u64,
    /// Id of its run.
    pub run: String,
}

/// A series: written when it begins and after every repeat. All times are nanoseconds unless they are timestamps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Version of the format: [`SERIES_VERSION`].
    pub version: u32,
    /// `<UTC time>-<profile>-series-<short id>`, also the name of its folder.
    pub id: String,
    /// Version of slatest.
    pub slatest: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended; `None` while it is under way, and where it was killed.
    pub ended: Option<Timestamp>,
    /// The command line.
    pub command: Vec<String>,
    /// Name of the profile.
    pub profile: String,
    /// Seed of the first repeat; see [`repeat_seed`].
    pub seed: u64,
    /// Where it was sent.
    pub target: TargetRecord,
    /// The machine that generated the load.
    pub machine: Machine,
    /// How many repeats were asked for.
    pub planned: u64,
    /// What is said of all of them.
    pub verdict: Verdict,
    /// Every repeat that came to its end, in order.
    pub repeats: Vec<Repeat>,
    /// Over all repeats, by drill.
    pub drills: Vec<DrillSummary>,
    /// The repeat that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// Why it ended before it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<EndedEarly>,
}

/// What is known of a series before its first repeat.
#[derive(Clone, Debug)]
pub struct SeriesOpening {
    /// Its id.
    pub id: String,
    /// When it starts.
    pub started: Timestamp,
    /// The command line as it was typed.
    pub command: Vec<String>,
    /// Name of the profile.
    pub profile: String,
    /// Seed of the first repeat.
    pub seed: u64,
    /// Where it is sent.
    pub target: TargetRecord,
    /// How many repeats are asked for.
    pub planned: u64,
}

impl Series {
    /// One that begins.
    pub fn new(opening: SeriesOpening) -> Self {
        Self {
            version: SERIES_VERSION,
            id: opening.id,
            slatest: env!("CARGO_PKG_VERSION").into(),
            started: opening.started,
            ended: None,
            command: opening.command.iter().map(|word| redact(word).into_owned()).collect(),
            profile: opening.profile,
            seed: opening.seed,
            target: opening.target,
            machine: Machine::this(),
            planned: opening.planned,
            verdict: Verdict::Inconclusive,
            repeats: Vec::new(),
            drills: Vec::new(),
            under_way: None,
            ended_early: None,
        }
    }

    /// The next repeat begins.
    pub fn begin(&mut self, number: u64, seed: u64, run: String) {
        self.under_way = Some(UnderWay { number, seed, run });
    }

    /// A repeat came to its end. `message` are what its verdict rests on.
    pub fn add(&mut self, run: &RunRecord, message: String) {
        let number = self.under_way.take().map_or(self.repeats.len() as u64 + 1, |under_way| under_way.number);
        self.repeats.push(Repeat::of(run, number, message));
        self.sum_up();
    }

    /// Nothing more comes.
    pub fn end(&mut self, at: Timestamp, early: Option<EndedEarly>) {
        self.ended = Some(at);
        self.ended_early = early;
        self.sum_up();
    }

    /// Whether all repeats that were asked for were made.
    pub fn is_whole(&self) -> bool {
        self.repeats.len() as u64 >= self.planned
    }

    /// How long all repeats took.
    pub fn length(&self) -> Nanos {
        self.repeats.iter().fold(Nanos::ZERO, |sum, repeat| sum + repeat.length)
    }

    /// A drill from repeat to repeat.
    pub fn drill(&self, name: &str) -> impl Iterator<Item = (&Repeat, &DrillRepeat)> {
        self.repeats.iter().filter_map(move |repeat| {
            repeat.drills.iter().find(|drill| drill.name == name).map(|drill| (repeat, drill))
        })
    }

    fn sum_up(&mut self) {
        self.drills = summary::summaries(&self.repeats);
        self.verdict = self.verdict_of();
    }

    /// The worst of its repeats, where a fail outranks void: other than the parts of one run, a repeat that says nothing
    /// of the target takes nothing away from another that does. One fail fails the series, and so does a target
    /// that is left broken. What was not made was not shown: without all of its repeats it never passes.
    fn verdict_of(&self) -> Verdict {
        let broken = matches!(self.ended_early, Some(EndedEarly::LeftBroken(_))).then_some(Verdict::Fail);
        let missing = (!self.is_whole()).then_some(Verdict::Inconclusive);
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Pass => 0,
            Verdict::Inconclusive => 1,
            Verdict::Void => 2,
            Verdict::Fail => 3,
        };
        let repeats = self.repeats.iter().map(|repeat| repeat.verdict);
        repeats.chain(broken).chain(missing).max_by_key(rank).unwrap_or(Verdict::Inconclusive)
    }
}

/// The seed of a repeat, from 1: the first has the series' own, so that it is the run which the seed alone would be;
/// every other a number of up to 53 bits that follows from both, as JSON readers hold them.
pub fn repeat_seed(first: u64, number: u64) -> u64 {
    if number <= 1 {
        return first;
    }
    let mut random = ChaCha8Rng::seed_from_u64(first);
    random.set_stream(number);
    random.next_u64() >> 11
}

//! The picture at the top: load, failures and p99 over the run in one strip. Drawn here, so that it is there without scripts
//! and on paper.

use serde::Serialize;

use crate::report::course::Course;
use crate::report::phrases::{grouped, rate};
use crate::report::timeline::{MarkKind, marks};
use slatest_core::model::Nanos;
use slatest_engine::record::RunRecord;

/// Width in units of the picture.
const WIDTH: f64 = 1000.0;
/// Height of a lane.
const LANE: f64 = 46.0;
/// Where the p99 of a slot stands in the quantiles.
const P99: usize = 3;
/// Most bars.
const BARS_MAX: usize = 150;

/// One lane of bars.
#[derive(Serialize)]
pub(super) struct Lane {
    title: &'static str,
    class: &'static str,
    most: String,
    /// The path of all bars, in a box of 1000 × 46.
    path: String,
}

/// A part of the run that is marked.
#[derive(Serialize)]
pub(super) struct Band {
    class: &'static str,
    x: f64,
    width: f64,
    title: String,
}

/// The picture.
#[derive(Serialize)]
pub(super) struct Picture {
    lanes: Vec<Lane>,
    bands: Vec<Band>,
    /// (place, label).
    ticks: Vec<(f64, String)>,
    /// What it shows, for those who don't see it.
    label: String,
}

/// The picture of a run; `None` where too little is known over time.
pub(super) fn picture(run: &RunRecord, course: &Course) -> Option<Picture> {
    if course.slots < 3 {
        return None;
    }
    let length = course.start(course.slots).as_secs_f64();
    let slot = course.slot.as_secs_f64();
    let together = course.slots.div_ceil(BARS_MAX);
    let per_sec = |counts: &[u64]| -> Vec<f64> {
        let chunk = |counts: &[u64]| counts.iter().sum::<u64>() as f64 / (counts.len() as f64 * slot);
        counts.chunks(together).map(chunk).collect()
    };
    let ended = per_sec(&course.total.ended);
    let failed: Vec<f64> =
        course.total.failed.chunks(together).map(|counts| counts.iter().sum::<u64>() as f64).collect();
    let p99: Vec<f64> = course.total.times[P99]
        .chunks(together)
        .map(|times| times.iter().flatten().copied().max().unwrap_or_default() as f64)
        .collect();
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let width = WIDTH * slot * together as f64 / length;
    let lane =
        |title, class, values: &[f64], shown: String| Lane { title, class, most: shown, path: bars(values, width) };
    let lanes = vec![
        lane("completed", "load", &ended, format!("up to {}/s", rate(most(&ended)))),
        lane(
            "failed",
            "bad",
            &failed,
            match most(&failed) {
                0.0 => "none".into(),
                _ => format!("{} in all", grouped(course.total.failed.iter().sum())),
            },
        ),
        lane("p99", "time", &p99, format!("up to {}", Nanos(most(&p99) as u64))),
    ];
    let x = |at: Nanos| (WIDTH * at.as_secs_f64() / length).clamp(0.0, WIDTH);
    let bands = marks(run)
        .into_iter()
        .filter(|mark| mark.kind != MarkKind::Phase)
        .map(|mark| Band {
            class: mark.kind.name(),
            x: rounded(x(mark.from)),
            width: rounded((x(mark.to) - x(mark.from)).max(2.0)),
            title: format!("{} {}: {} – {}", mark.kind.name(), mark.label, mark.from, mark.to),
        })
        .collect();
    let step =
        [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0]
            .into_iter()
            .find(|step| length / step <= 8.0)
            .unwrap_or(86_400.0 * (length / 691_200.0).ceil().max(1.0));
    let ticks = (0..=8)
        .map(|i| f64::from(i) * step)
        .take_while(|at| *at < length * 0.97)
        .map(|at| (rounded(WIDTH * at / length), clock(at)))
        .collect();
    let total = |counts: &[u64]| grouped(counts.iter().sum());
    let label = format!(
        "Over {}: {} operations ended, {} of them failed, p99 up to {}",
        super::super::phrases::length(run.result.length),
        total(&course.total.ended),
        total(&course.total.failed),
        Nanos(most(&p99) as u64),
    );
    Some(Picture { lanes, bands, ticks, label })
}

/// Bars from the ground up, as one path.
fn bars(values: &[f64], width: f64) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let mut path = String::new();
    for (i, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let height = (value / most * LANE).max(1.5);
        let x = rounded(width * i as f64);
        path.push_str(&format!("M{x} {LANE}v-{}h{}v{}z", rounded(height), rounded(width * 0.9), rounded(height)));
    }
    path
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// An instant of the run: `1:30`, `2:00:00`.
fn clock(secs: f64) -> String {
    let secs = secs as u64;
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{secs:02}") } else { format!("{minutes}:{secs:02}") }
}

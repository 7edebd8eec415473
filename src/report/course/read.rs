//! Reading the windows of a run into slots.

use slatest_core::measure::{Latencies, Window};
use slatest_core::model::{Nanos, OperationId, Verdict};
use slatest_engine::record::{RunRecord, Windows};

use super::errors::Kinds;
use super::operation::OpenTimes;
use super::{CELLS_MAX, Course, OperationCourse, SLOTS_MAX, SLOTS_MIN, Track};

/// Most objectives whose course is kept.
const TRACKS_MAX: usize = 200;
/// Most operations in a scope that is followed: each window would be looked through for each of them.
const SCOPE_MAX: usize = 4_096;
/// Most events that are kept.
const EVENTS_MAX: usize = 1_000;

/// The course of a run from its folder. A run without windows, or with some that can't be read, has what could be read;
/// what could not stands in [`Course::flaws`].
pub(in crate::report) fn read(run: &RunRecord) -> Course {
    let mut flaws = Vec::new();
    let course = match Windows::open(&run.folder) {
        Ok(Some(mut windows)) => {
            let mut reading: Option<Reading> = None;
            loop {
                let (batch, end) = windows.next_batch();
                for window in &batch {
                    reading.get_or_insert_with(|| Reading::new(run, window.length)).add(window);
                }
                match end {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        flaws.push(format!("the charts end where the windows could not be read any more: {error}"));
                        break;
                    }
                }
            }
            reading.map(Reading::finish)
        }
        Ok(None) => None,
        Err(error) => {
            flaws.push(format!("the windows could not be read: {error}"));
            None
        }
    };
    let mut course = course.unwrap_or_else(|| {
        flaws.push("there are no windows beside the record: nothing can be shown over time".into());
        Course { tracks: vec![None; run.result.objectives.len()], ..Course::default() }
    });
    course.flaws.splice(0..0, flaws);
    course
}

/// Sums while windows are read. Only the slot that is open has histograms of its own, so memory doesn't grow with the run.
struct Reading {
    course: Course,
    kinds: Kinds,
    /// The slot whose times are open.
    open: usize,
    times: Vec<OpenTimes>,
    lateness: Latencies,
    /// Windows whose slot was over when they came, or that are beyond the run's end.
    late: u64,
}

impl Reading {
    fn new(run: &RunRecord, window: Nanos) -> Self {
        let window = window.max(Nanos(1));
        let plan = &run.plan;
        // What ends after the last arrival, too.
        let end = run.result.length.max(plan.end() + plan.graceful_stop).max(window);
        let slots_max = (CELLS_MAX / plan.operations.len().max(1)).clamp(SLOTS_MIN, SLOTS_MAX);
        let wanted = usize::try_from(run.result.length.max(window).0.div_ceil(window.0)).unwrap_or(usize::MAX);
        let together = wanted.div_ceil(slots_max).max(1);
        let slot = Nanos(window.0.saturating_mul(together as u64));
        let slots = usize::try_from(end.0.div_ceil(slot.0)).unwrap_or(usize::MAX).clamp(1, 4 * SLOTS_MAX);
        let objectives = &run.result.objectives;
        // Those that did not pass first, should there be too many.
        let mut order: Vec<usize> = (0..objectives.len()).collect();
        order.sort_by_key(|&i| (objectives[i].verdict == Verdict::Pass, i));
        let mut tracks: Vec<Option<Track>> = vec![None; objectives.len()];
        for i in order.into_iter().take(TRACKS_MAX) {
            tracks[i] = Track::of(plan, &objectives[i], slots).filter(|track| track.operations.len() <= SCOPE_MAX);
        }
        let in_parts = |id: OperationId| {
            let suspects = tracks.iter().zip(objectives).filter(|(_, judged)| judged.verdict != Verdict::Pass);
            suspects.filter_map(|(track, _)| track.as_ref()).any(|track| track.operations.contains(&id))
        };
        let operations: Vec<OperationCourse> = plan
            .operations
            .iter()
            .enumerate()
            .map(|(i, o)| OperationCourse::new(slots, in_parts(OperationId(i as u16)).then_some(o.timings.as_slice())))
            .collect();
        Self {
            times: operations.iter().map(OpenTimes::of).collect(),
            course: Course {
                slot,
                window,
                slots,
                fired: vec![0; slots],
                in_flight: vec![0; slots],
                lateness: vec![None; slots],
                stall: vec![Nanos::ZERO; slots],
                total: OperationCourse::new(slots, None),
                operations,
                tracks,
                ..Course::default()
            },
            kinds: Kinds::default(),
            open: 0,
            lateness: Latencies::default(),
            late: 0,
        }
    }

    fn add(&mut self, window: &Window) {
        let slot = self.course.slot_of(window.start());
        if slot >= self.course.slots {
            self.late += 1;
            return;
        }
        if slot > self.open {
            self.settle();
            self.open = slot;
        }
        // Counts find their place whenever they come; the times of a slot that is over are settled.
        let is_open = slot == self.open;
        self.late += u64::from(!is_open);
        let course = &mut self.course;
        course.fired[slot] += window.arrivals.fired;
        if !window.late {
            course.in_flight[slot] = window.in_flight;
        }
        course.stall[slot] = course.stall[slot].max(window.stall);
        let room = EVENTS_MAX.saturating_sub(course.events.len());
        course.events.extend(window.events.iter().take(room).cloned());
        self.kinds.add(window, slot, course.slots);
        if is_open {
            self.lateness.merge(&window.dispatch_lag);
        }
        for (id, tally) in &window.judged {
            for track in course.tracks.iter_mut().flatten() {
                track.add(*id, tally, slot, is_open);
            }
        }
        for (tallies, judged) in [(&window.judged, true), (&window.unjudged, false)] {
            for (id, tally) in tallies {
                let Some(operation) = self.course.operations.get_mut(id.index()) else { continue };
                operation.count(slot, tally);
                self.course.total.count(slot, tally);
                if let Some(times) = self.times.get_mut(id.index()).filter(|_| is_open) {
                    times.add(tally, judged);
                }
            }
        }
    }

    fn settle(&mut self) {
        let (course, slot) = (&mut self.course, self.open);
        let length = course.slot;
        course.tracks.iter_mut().flatten().for_each(|track| track.settle(slot, length, &self.times));
        let mut total = OpenTimes::default();
        for (operation, times) in course.operations.iter_mut().zip(&mut self.times) {
            total.judged.merge(&times.judged);
            total.responses.merge(&times.responses);
            operation.settle(slot, times);
            times.clear();
        }
        course.total.settle(slot, &mut total);
        course.lateness[slot] = self.lateness.quantile(0.99).ok().map(|time| time.0);
        self.lateness.clear();
    }

    fn finish(mut self) -> Course {
        self.settle();
        let used = self.open + 1;
        let mut course = self.course;
        course.errors = self.kinds.sorted();
        course.shorten(used);
        if self.late > 0 {
            course.flaws.push(format!(
                "{} windows came late (an agent brought them when the others had gone on): the charts count them, and leave \
                 their times out",
                self.late
            ));
        }
        course
    }
}

impl Course {
    /// Leaves out the slots after the last one that was reached.
    fn shorten(&mut self, used: usize) {
        self.slots = used;
        for counts in [&mut self.fired, &mut self.in_flight] {
            counts.truncate(used);
        }
        self.lateness.truncate(used);
        self.stall.truncate(used);
        for operation in self.operations.iter_mut().chain([&mut self.total]) {
            for counts in [&mut operation.due, &mut operation.ended, &mut operation.failed] {
                counts.truncate(used);
            }
            let parts = operation.parts.iter_mut().map(|(_, values)| values);
            operation.times.iter_mut().chain(parts).for_each(|values| values.truncate(used));
        }
        self.errors.iter_mut().for_each(|kind| kind.counts.truncate(used));
        for track in self.tracks.iter_mut().flatten() {
            track.values.truncate(used);
            track.batches.truncate(used);
        }
    }
}

//! The busiest stretch of a plan: how much of it any window of one length holds at most.

/// Something planned per second over time, of straight lines that may lie over each other, and lots that
/// come at one instant.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    lines: Vec<Line>,
    /// (when, how much)
    lots: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    start: f64,
    end: f64,
    from: f64,
    to: f64,
}

/// A stretch between two bends of the sum of all lines.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: f64,
    /// Per second where it starts, and how that changes per second.
    value: f64,
    slope: f64,
    /// The integral of everything before it.
    before: f64,
}

impl Planned {
    /// Adds a line from `start` to `end`, in seconds, that goes from `from` to `to` per second.
    pub fn line(&mut self, start: f64, end: f64, from: f64, to: f64) {
        if end > start && (from > 0.0 || to > 0.0) {
            self.lines.push(Line { start, end, from, to });
        }
    }

    /// Adds a lot that comes at one instant.
    pub fn lot(&mut self, at: f64, count: f64) {
        if count > 0.0 {
            self.lots.push((at, count));
        }
    }

    /// The most that any closed window of `length` seconds holds, and where the first such starts.
    ///
    /// With F the integral of the rate, F(s + length) − F(s) is a parabola in s between the instants at
    /// which either end of the window meets a bend or a lot. So it is greatest at one of these instants, or
    /// where the rate is the same at both ends: exact, with nothing sampled.
    pub fn most_within(&self, length: f64) -> (f64, f64) {
        let stretches = self.stretches();
        let mut lots = self.lots.clone();
        lots.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bends = stretches.iter().map(|s| s.start).chain(lots.iter().map(|(at, _)| *at));
        let mut starts: Vec<f64> = bends.flat_map(|at| [at - length, at]).collect();
        starts.sort_by(f64::total_cmp);
        starts.dedup();
        let rate = |at: f64| stretch_at(&stretches, at).map_or(0.0, |s| (at - s.start).mul_add(s.slope, s.value));
        let summits: Vec<f64> = starts
            .windows(2)
            .filter_map(|pair| {
                let (left, right) = (pair[0], pair[1]);
                // Both rates are lines in between: the middle and a quarter tell them whole.
                let gain = |at: f64| rate(at + length) - rate(at);
                let quarter = (right - left) / 4.0;
                let (early, late) = (gain(left + quarter), gain(right - quarter));
                // What is gained shrinks: where it is nothing is the summit, if not beyond an edge.
                (early > late).then(|| {
                    let at = (left + quarter) + (right - left) / 2.0 * early / (early - late);
                    at.clamp(left, right)
                })
            })
            .collect();
        let mut sums = Vec::with_capacity(lots.len() + 1);
        sums.push(0.0);
        sums.extend(lots.iter().scan(0.0, |sum, (_, count)| {
            *sum += count;
            Some(*sum)
        }));
        let held = |start: f64| {
            let end = start + length;
            // What lies on the edge is inside; an edge is only known to a rounding.
            let edge = 1e-9 * end.abs().max(1.0);
            let first = lots.partition_point(|(at, _)| *at < start - edge);
            let last = lots.partition_point(|(at, _)| *at <= end + edge);
            integral(&stretches, end) - integral(&stretches, start) + (sums[last] - sums[first.min(last)])
        };
        let mut most = (0.0, 0.0);
        for start in starts.into_iter().chain(summits) {
            let count = held(start);
            if count > most.0 * (1.0 + 1e-12) {
                most = (count, start);
            }
        }
        most
    }

    /// The sum of all lines, as stretches end to end; the last one is over it all, at rate 0.
    fn stretches(&self) -> Vec<Stretch> {
        // (when, change of the value beside that of the slope, change of the slope)
        let mut bends: Vec<(f64, f64, f64)> = Vec::with_capacity(self.lines.len() * 2);
        for line in &self.lines {
            let slope = (line.to - line.from) / (line.end - line.start);
            bends.push((line.start, line.from, slope));
            bends.push((line.end, -line.to, -slope));
        }
        bends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut stretches: Vec<Stretch> = Vec::with_capacity(bends.len());
        for (at, jump, bend) in bends {
            let (mut value, mut slope, mut before) = (0.0, 0.0, 0.0);
            if let Some(last) = stretches.last() {
                let length = at - last.start;
                value = length.mul_add(last.slope, last.value);
                slope = last.slope;
                before = (0.5 * last.slope * length).mul_add(length, last.value * length) + last.before;
            }
            let stretch = Stretch { start: at, value: value + jump, slope: slope + bend, before };
            match stretches.last_mut() {
                Some(last) if last.start == at => *last = stretch,
                _ => stretches.push(stretch),
            }
        }
        if let Some(last) = stretches.last_mut() {
            // What is left of roundings when every line has ended.
            (last.value, last.slope) = (0.0, 0.0);
        }
        stretches
    }
}

fn stretch_at(stretches: &[Stretch], at: f64) -> Option<&Stretch> {
    stretches.get(stretches.partition_point(|s| s.start <= at).checked_sub(1)?)
}

fn integral(stretches: &[Stretch], at: f64) -> f64 {
    stretch_at(stretches, at).map_or(0.0, |s| {
        let length = at - s.start;
        (0.5 * s.slope * length).mul_add(length, s.value * length) + s.before
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Quarter seconds and whole rates, so that a window by brute force can stand on every grid point.
    fn planned() -> impl Strategy<Value = Planned> {
        let lines = prop::collection::vec((0..60_u32, 1..40_u32, 0..50_u32, 0..50_u32), 0..6);
        let lots = prop::collection::vec((0..100_u32, 1..400_u32), 0..5);
        (lines, lots).prop_map(|(lines, lots)| {
            let mut planned = Planned::default();
            for (start, length, from, to) in lines {
                let (start, length) = (f64::from(start) / 4.0, f64::from(length) / 4.0);
                planned.line(start, start + length, from.into(), to.into());
            }
            for (at, count) in lots {
                planned.lot(f64::from(at) / 4.0, count.into());
            }
            planned
        })
    }

    /// What a window holds, line by line.
    fn brute(planned: &Planned, start: f64, length: f64) -> f64 {
        let lines = planned.lines.iter().map(|line| {
            let (left, right) = (start.max(line.start), (start + length).min(line.end));
            if right <= left {
                return 0.0;
            }
            let at = |t: f64| line.from + (line.to - line.from) * (t - line.start) / (line.end - line.start);
            (at(left) + at(right)) / 2.0 * (right - left)
        });
        let lots = planned.lots.iter().filter(|(at, _)| *at >= start && *at <= start + length).map(|(_, count)| count);
        lines.sum::<f64>() + lots.sum::<f64>()
    }

    proptest! {
        #[test]
        fn no_window_holds_more_and_one_holds_as_much(planned in planned(), quarters in 1..60_u32) {
            let length = f64::from(quarters) / 4.0;
            let (most, start) = planned.most_within(length);
            let slack = 1e-6 * most.max(1.0);
            // It is held where it says.
            prop_assert!((brute(&planned, start, length) - most).abs() <= slack, "{} at {}", most, start);
            // And nowhere more: every 1/16 s, all bends and lots among them.
            let mut best = 0.0_f64;
            for sixteenth in -16 * 16..=16 * 45 {
                best = best.max(brute(&planned, f64::from(sixteenth) / 16.0, length));
            }
            prop_assert!(best <= most + slack, "{} by hand, {} said", best, most);
            // A summit lies within 1/32 s of a grid point, where as much is missing as the rates (6 lines of
            // at most 50/s, that may bend by 200/s per second) can change in that time.
            prop_assert!(most <= best + 6.0 * 200.0 / 32.0 / 32.0 + slack, "{} said, {} by hand", most, best);
        }
    }

    #[test]
    fn a_triangle_is_held_around_its_summit() {
        let mut planned = Planned::default();
        planned.line(0.0, 10.0, 0.0, 100.0);
        planned.line(10.0, 30.0, 100.0, 0.0);
        // Equal rates at both ends: 10·(10 − a) left and 5·b right of the summit with a + b = 6, so at 2 s
        // before it and 4 s after it, where it is 80: (80 + 100)/2 · 6.
        let (most, start) = planned.most_within(6.0);
        assert!((most - 540.0).abs() < 1e-9 && (start - 8.0).abs() < 1e-9, "{most} at {start}");
    }

    #[test]
    fn lots_as_far_apart_as_the_window_is_long_are_both_inside() {
        let mut planned = Planned::default();
        planned.lot(0.0, 10.0);
        planned.lot(300.0, 7.0);
        planned.lot(301.0, 1.0);
        assert_eq!(planned.most_within(300.0), (17.0, 0.0));
        assert_eq!(planned.most_within(1.0).0, 10.0);
        assert_eq!(Planned::default().most_within(5.0), (0.0, 0.0));
    }
}

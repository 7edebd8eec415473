//! Recovery times as bars, a line for each repeat.

use slatest_core::model::Nanos;
use slatest_stats::Outage;

/// Widest bar.
const WIDTH: usize = 32;
/// A target so many times beyond the longest outage would leave no room for the outages.
const TARGET_BEYOND: f64 = 1.5;

/// What bars mean.
pub(super) const LEGEND: &str =
    "█ down for certain · ▒ within the bounds · ▶ not restored while it was watched · │ the target";

/// How long a bar is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    longest: f64,
    target: Option<usize>,
}

impl Scale {
    /// For these outages, and the target where it lies near enough to be shown.
    pub(super) fn of<'a>(outages: impl Iterator<Item = &'a Outage>, rto: Option<Nanos>) -> Self {
        let ends = outages.map(|outage| outage.upper.unwrap_or(outage.lower).as_secs_f64());
        let longest = ends.fold(0.0, f64::max);
        let target = rto.map(Nanos::as_secs_f64).filter(|rto| *rto <= longest * TARGET_BEYOND);
        let longest = longest.max(target.unwrap_or(0.0));
        let mut scale = Self { longest, target: None };
        scale.target = target.map(|target| scale.column(target).min(WIDTH - 1));
        scale
    }

    fn column(self, secs: f64) -> usize {
        if self.longest <= 0.0 { 0 } else { ((secs / self.longest) * WIDTH as f64).round() as usize }.min(WIDTH)
    }

    /// The bar of an outage, [`WIDTH`] columns wide.
    pub(super) fn bar(self, outage: Option<&Outage>) -> String {
        let mut cells = vec![' '; WIDTH];
        if let Some(target) = self.target
            && let Some(cell) = cells.get_mut(target)
        {
            *cell = '│';
        }
        if let Some(outage) = outage {
            let certain = self.column(outage.lower.as_secs_f64());
            let end = outage.upper.map_or(WIDTH, |upper| self.column(upper.as_secs_f64()).max(1));
            for (i, cell) in cells.iter_mut().enumerate().take(end) {
                *cell = if i < certain { '█' } else { '▒' };
            }
            if outage.upper.is_none()
                && let Some(last) = cells.last_mut()
            {
                *last = '▶';
            }
        }
        cells.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(lower: u64, upper: Option<u64>) -> Outage {
        let upper = upper.map(Nanos::from_secs);
        Outage { lower: Nanos::from_secs(lower), time: upper, upper }
    }

    #[test]
    fn bars_are_as_long_as_the_outages() {
        let all = [outage(8, Some(16)), outage(2, Some(4)), outage(10, None)];
        let scale = Scale::of(all.iter(), Some(Nanos::from_secs(12)));
        let bars: Vec<String> = all.iter().map(|one| scale.bar(Some(one))).collect();
        assert_eq!(bars[0], "████████████████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒");
        assert_eq!(bars[1], "████▒▒▒▒                │       ");
        assert_eq!(bars[2], "████████████████████▒▒▒▒▒▒▒▒▒▒▒▶");
        assert!(bars.iter().all(|bar| bar.chars().count() == WIDTH));
    }

    #[test]
    fn a_target_far_away_leaves_room_and_nothing_at_all_is_empty() {
        let all = [outage(1, Some(2))];
        let scale = Scale::of(all.iter(), Some(Nanos::from_secs(60)));
        assert_eq!(scale.bar(Some(&all[0])).trim_end().chars().count(), WIDTH);
        assert_eq!(Scale::of([].iter(), None).bar(None).trim(), "");
        let zero = Outage { lower: Nanos::ZERO, time: Some(Nanos::ZERO), upper: Some(Nanos::ZERO) };
        assert_eq!(Scale::of([zero].iter(), Some(Nanos::ZERO)).bar(Some(&zero)).chars().count(), WIDTH);
    }
}

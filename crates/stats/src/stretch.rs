//! Since when: the part of a run in which bad samples stand out.
//!
//! A run with a share of bad samples that changes once (it broke and stayed broken) or twice (it broke and came back) has
//! a stretch of batches unlike the rest. The one that is most unlike is that of the greatest likelihood ratio of two
//! binomial shares against one, over every stretch (Kulldorff, Communications in Statistics 26, 1997). It is told only
//! where chance would hardly show one.

use statrs::function::erf::erfc;

use crate::Batch;

/// Chance that a stretch is told of a share that never changed.
const ALPHA: f64 = 0.01;
/// Most batches that are looked at one by one; more are taken together.
const BATCHES_MAX: usize = 480;
/// The rest of the run is at most this share of the stretch's own, else nobody would call it a change.
const ELSEWHERE_MOST: f64 = 0.5;

/// A part of a run with more bad samples than the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first batch.
    pub first: usize,
    /// The batch after its last one.
    pub end: usize,
    /// What it holds.
    pub within: Batch,
    /// What the rest holds.
    pub elsewhere: Batch,
}

/// The stretch of `batches` in which bad ones are most unlike the rest; `None` where they are spread as chance spreads
/// them. Samples are taken for independent: those that hang together make a stretch likelier to be told.
pub fn worst_stretch(batches: &[Batch]) -> Option<Stretch> {
    let together = batches.len().div_ceil(BATCHES_MAX).max(1);
    let groups: Vec<Batch> = batches.chunks(together).map(sum).collect();
    let all = sum(&groups);
    if all.bad == 0 || all.bad >= all.n {
        return None;
    }
    let without = ln_likelihood(all);
    let mut best: Option<(f64, usize, usize, Batch)> = None;
    let mut looks = 0_u64;
    for first in 0..groups.len() {
        let mut within = Batch { bad: 0, n: 0 };
        for (offset, group) in groups[first..].iter().enumerate() {
            within = Batch { bad: within.bad + group.bad, n: within.n + group.n };
            let elsewhere = rest(all, within);
            if within.n == 0 || elsewhere.n == 0 {
                continue;
            }
            looks += 1;
            if share(elsewhere) > ELSEWHERE_MOST * share(within) {
                continue;
            }
            let ratio = ln_likelihood(within) + ln_likelihood(elsewhere) - without;
            if best.is_none_or(|(most, ..)| ratio > most) {
                best = Some((ratio, first, first + offset + 1, within));
            }
        }
    }
    let (ratio, first, end, within) = best?;
    // Wilks: twice the ratio is chi-squared with one degree of freedom. Bonferroni: as often as was looked.
    let chance = erfc(ratio.max(0.0).sqrt()) * looks as f64;
    (chance <= ALPHA).then(|| Stretch {
        first: first * together,
        end: (end * together).min(batches.len()),
        within,
        elsewhere: rest(all, within),
    })
}

fn sum(batches: &[Batch]) -> Batch {
    batches
        .iter()
        .fold(Batch { bad: 0, n: 0 }, |sum, one| Batch { bad: sum.bad + one.bad.min(one.n), n: sum.n + one.n })
}

const fn rest(all: Batch, within: Batch) -> Batch {
    Batch { bad: all.bad - within.bad, n: all.n - within.n }
}

fn share(batch: Batch) -> f64 {
    batch.bad as f64 / batch.n as f64
}

/// ln of the likelihood of a batch at its own share.
fn ln_likelihood(batch: Batch) -> f64 {
    let part = |count: u64| if count == 0 { 0.0 } else { count as f64 * (count as f64 / batch.n as f64).ln() };
    part(batch.bad) + part(batch.n - batch.bad)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn batches(bad: impl IntoIterator<Item = u64>) -> Vec<Batch> {
        bad.into_iter().map(|bad| Batch { bad, n: 100 }).collect()
    }

    #[test]
    fn what_broke_and_came_back_is_found_to_the_batch() {
        let found = worst_stretch(&batches((0..60).map(|i| if (20..26).contains(&i) { 40 } else { 0 }))).unwrap();
        assert_eq!((found.first, found.end), (20, 26));
        assert_eq!((found.within, found.elsewhere), (Batch { bad: 240, n: 600 }, Batch { bad: 0, n: 5_400 }));
    }

    #[test]
    fn what_stays_broken_lasts_to_the_end() {
        let found = worst_stretch(&batches((0..60).map(|i| if i >= 45 { 12 } else { 1 }))).unwrap();
        assert_eq!((found.first, found.end), (45, 60));
    }

    #[test]
    fn what_was_never_otherwise_has_no_stretch() {
        assert_eq!(worst_stretch(&batches([30; 60])), None);
        assert_eq!(worst_stretch(&batches([0; 60])), None);
        assert_eq!(worst_stretch(&batches([100; 60])), None);
        assert_eq!(worst_stretch(&[]), None);
        // A single bad one among many says nothing of when.
        assert_eq!(worst_stretch(&batches((0..60).map(|i| u64::from(i == 30)))), None);
    }

    #[test]
    fn a_share_that_never_changed_is_told_a_stretch_once_in_a_hundred_runs_at_most() {
        let mut random = ChaCha8Rng::seed_from_u64(13);
        let told = (0..400)
            .filter(|_| {
                let steady = (0..60).map(|_| (0..100).filter(|_| random.random_bool(0.02)).count() as u64);
                worst_stretch(&batches(steady)).is_some()
            })
            .count();
        // Far below 1 % of 400 by Bonferroni's caution; six would be beyond chance at 1 %.
        assert!(told <= 9, "{told}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_is_lost(counts in prop::collection::vec((0..50_u64, 0..50_u64), 0..1_200)) {
            let batches: Vec<Batch> = counts.iter().map(|&(bad, good)| Batch { bad, n: bad + good }).collect();
            if let Some(found) = worst_stretch(&batches) {
                prop_assert!(found.first < found.end && found.end <= batches.len());
                prop_assert_eq!(sum(&batches[found.first..found.end]), found.within);
                prop_assert_eq!(rest(sum(&batches), found.within), found.elsewhere);
            }
        }
    }
}

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::super::binomial::at_least;
use super::*;

fn clean(passes: u64) -> Repeats {
    Repeats { passes, ..Repeats::default() }
}

fn exact(time: Nanos) -> Outage {
    Outage { lower: time, time: Some(time), upper: Some(time) }
}

#[test]
fn fourteen_twenty_nine_and_fifty_nine_clean_passes() {
    for (share, passes) in [(0.8, 14), (0.9, 29), (0.95, 59)] {
        assert_eq!(clean(0).passes_missing(share), Some(passes));
        assert_eq!(clean(passes).passes_missing(share), Some(0));
        assert_eq!(clean(passes - 1).passes_missing(share), Some(1));
        assert!(clean(passes).shown_share() >= share && clean(passes - 1).shown_share() < share);
    }
}

#[test]
fn a_miss_costs_passes_and_so_does_what_nobody_can_tell() {
    // P(Bin(22, .2) ≤ 1) = .0480, P(Bin(21, .2) ≤ 1) = .0576.
    let once = Repeats { passes: 10, fails: 1, ..Repeats::default() };
    assert_eq!(once.passes_missing(0.8), Some(11));
    assert!(once.message().starts_with("held after 10 of 11 failures"), "{}", once.message());
    let untold = Repeats { passes: 10, untold: 1, ..Repeats::default() };
    assert_eq!((untold.passes_missing(0.8), untold.shown_share()), (Some(11), once.shown_share()));
    let nothing = Repeats { void: 3, nothing_failed: 2, ..clean(10) };
    assert_eq!((nothing.passes_missing(0.8), nothing.shown_share()), (Some(4), clean(10).shown_share()));
}

#[test]
fn nights_add_up() {
    let mut all = Repeats::default();
    for night in 0..29 {
        let mut one = Repeats::default();
        one.add(Went::Held, Some(exact(Nanos::from_secs(40 - night))));
        one.add(Went::NothingFailed, None);
        one.add(Went::Void, Some(exact(Nanos::from_secs(1))));
        let text = serde_json::to_string(&one).unwrap();
        all.merge(&serde_json::from_str(&text).unwrap());
    }
    assert_eq!((all.passes, all.nothing_failed, all.void, all.outages.len()), (29, 29, 29, 29));
    assert!(all.message().contains("for 90 %: shown, for 95 %: 30 more passes"), "{}", all.message());
}

#[test]
fn what_never_recovered_is_longer_than_any_time() {
    let mut repeats = Repeats::default();
    (1..=9).for_each(|s| repeats.add(Went::Held, Some(exact(Nanos::from_secs(s)))));
    repeats.add(Went::Missed, Some(Outage { lower: Nanos::from_secs(60), time: None, upper: None }));
    let lie = repeats.distribution().unwrap();
    assert_eq!((lie.goes, lie.min, lie.max, lie.all_within), (10, Some(Nanos::from_secs(1)), None, None));
    assert_eq!(lie.median.value, Some(Nanos::from_secs(5)));
    // P(Bin(10, .5) ≤ 2) = .0547 > 5 %: the second is the lower bound's rank, the ninth the upper's.
    assert_eq!((lie.median.lower, lie.median.upper), (Some(Nanos::from_secs(2)), Some(Nanos::from_secs(9))));
    assert_eq!(lie.p90.value, Some(Nanos::from_secs(9)));
    assert_eq!(lie.p90.upper, None);
    let message = "10 goes: min 1.00 s · median 5.00 s (2.00 s – 9.00 s) · p90 9.00 s (7.00 s – ?) · max never";
    assert_eq!(lie.to_string(), message);
}

#[test]
fn nothing_measured_says_nothing() {
    assert_eq!(Repeats::default().distribution(), None);
    assert_eq!(Repeats::default().message(), "no go said anything of the target");
}

#[test]
fn what_the_longest_of_n_covers_is_what_n_clean_passes_show() {
    for n in [1, 13, 14, 29, 59] {
        let outages = vec![exact(Nanos::from_secs(2)); n as usize];
        let covered = distribution(&outages).unwrap().covered;
        assert!((covered - clean(n).shown_share()).abs() < 1e-9, "{n}: {covered}");
    }
}

/// The chance that `n` failures, each of which holds with a chance of `share`, show more than that: exactly.
#[test]
fn a_share_is_overstated_in_one_series_of_twenty_at_most() {
    for n in [1, 5, 14, 20, 29, 59, 100] {
        for share in [0.3, 0.5, 0.8, 0.9, 0.95, 0.99] {
            let overstates = |passes: u64| Repeats { fails: n - passes, ..clean(passes) }.shown_share() > share + 1e-9;
            let wrong = (0..=n).find(|passes| overstates(*passes)).map_or(0.0, |least| at_least(n, share, least));
            assert!(wrong <= ALPHA + 1e-9, "{n} {share}: {wrong}");
        }
    }
}

/// Simulated series, of which it is counted in how many what was said was wrong.
const SERIES: u32 = 3_000;
/// 5 %, and five standard deviations of a share of 5 % of that many.
const WRONG_MOST: f64 = 0.05 + 5.0 * 0.003_979;

fn share_of_series(mut wrong: impl FnMut(&mut ChaCha8Rng) -> bool) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(20_261_121);
    (0..SERIES).filter(|_| wrong(&mut random)).count() as f64 / f64::from(SERIES)
}

#[test]
fn what_cannot_be_told_hides_no_misses() {
    // 70 % hold; of those that don't, most come so close to the target that nobody can tell. 25 goes, some of them
    // void or without a failure.
    let mut left_out_wrong = 0_u32;
    let wrong = share_of_series(|random| {
        let mut repeats = Repeats::default();
        for _ in 0..25 {
            let went = match random.random_range(0..100) {
                0..70 => Went::Held,
                70..95 => Went::Untold,
                _ => Went::Missed,
            };
            let went = match random.random_range(0..10) {
                0 => Went::Void,
                1 => Went::NothingFailed,
                _ => went,
            };
            repeats.add(went, None);
        }
        let left_out = Repeats { untold: 0, ..repeats.clone() };
        left_out_wrong += u32::from(left_out.shown_share() > 0.7);
        repeats.shown_share() > 0.7
    });
    assert!(wrong <= WRONG_MOST, "{wrong}");
    // Why they are not left out.
    assert!(f64::from(left_out_wrong) / f64::from(SERIES) > 0.3, "{left_out_wrong}");
}

/// Recovery times of a database: most are quick, some wait for a timeout; nothing that a formula would assume.
fn recovery_time(random: &mut ChaCha8Rng) -> f64 {
    let unit: f64 = random.random_range(0.0..1.0);
    if random.random_range(0..4) == 0 { 30.0 + 10.0 * unit } else { 2.0 - 3.0 * (1.0 - unit).ln() }
}

/// The share of times up to `limit`.
fn share_within(limit: f64) -> f64 {
    let quick = if limit < 2.0 { 0.0 } else { 1.0 - (-(limit - 2.0) / 3.0).exp() };
    0.75 * quick + 0.25 * ((limit - 30.0) / 10.0).clamp(0.0, 1.0)
}

/// As a drill measures it, in windows of 1 s that begin wherever they do.
fn measured(time: f64, random: &mut ChaCha8Rng) -> Outage {
    let phase: f64 = random.random_range(0.0..1.0);
    let lower = ((time + phase).floor() - phase).max(0.0);
    let nanos = Nanos::from_secs_f64;
    if time > 38.0 {
        return Outage { lower: nanos(38.0), time: None, upper: None };
    }
    Outage { lower: nanos(lower), time: Some(nanos(lower + 1.0)), upper: Some(nanos(lower + 2.0)) }
}

#[test]
fn the_bounds_of_a_quantile_hold_in_nineteen_of_twenty_series() {
    for n in [3, 20, 59] {
        for (quantile, of) in
            [(0.5, (|lie| lie.median) as fn(&Distribution) -> RepeatFigure), (0.9, |lie: &Distribution| lie.p90)]
        {
            let series = |random: &mut ChaCha8Rng| -> RepeatFigure {
                let outages: Vec<Outage> = (0..n)
                    .map(|_| {
                        let time = recovery_time(random);
                        measured(time, random)
                    })
                    .collect();
                of(&distribution(&outages).unwrap())
            };
            let too_low = share_of_series(|random| {
                series(random).upper.is_some_and(|upper| share_within(upper.as_secs_f64()) < quantile)
            });
            let too_high = share_of_series(|random| {
                series(random).lower.is_some_and(|lower| share_within(lower.as_secs_f64()) > quantile)
            });
            assert!(too_low <= WRONG_MOST && too_high <= WRONG_MOST, "{n} p{quantile}: {too_low} {too_high}");
        }
    }
}

#[test]
fn the_longest_covers_what_it_says_in_nineteen_of_twenty_series() {
    let mut said = 0_u32;
    for n in [5, 14, 29] {
        let wrong = share_of_series(|random| {
            let exact = |random: &mut ChaCha8Rng| exact(Nanos::from_secs_f64(recovery_time(random)));
            let outages: Vec<Outage> = (0..n).map(|_| exact(random)).collect();
            let lie = distribution(&outages).unwrap();
            said += u32::from(lie.all_within.is_some());
            lie.all_within.is_some_and(|within| share_within(within.as_secs_f64()) < lie.covered)
        });
        // A continuous law: it is wrong as often as it may be, and no less.
        assert!((0.05 - 0.02..=WRONG_MOST).contains(&wrong), "{n}: {wrong}");
    }
    assert_eq!(said, 3 * SERIES);
}

proptest! {
    #[test]
    fn figures_lie_within_their_bounds_and_in_order(times in prop::collection::vec((0_u64..1000, 0_u64..50, 0_u64..50, 0..8), 1..80)) {
        let outages: Vec<Outage> = times.iter().map(|&(lower, more, and_more, never)| {
            let ends = never > 0;
            Outage {
                lower: Nanos(lower),
                time: ends.then_some(Nanos(lower + more)),
                upper: ends.then_some(Nanos(lower + more + and_more)),
            }
        }).collect();
        let lie = distribution(&outages).unwrap();
        let order = |a: Option<Nanos>, b: Option<Nanos>| b.is_none() || a.is_some_and(|a| Some(a) <= b);
        for figure in [lie.median, lie.p90] {
            prop_assert!(figure.lower.is_none_or(|lower| order(Some(lower), figure.value)));
            prop_assert!(order(figure.value, figure.upper));
        }
        prop_assert!(order(lie.min, lie.median.value) && order(lie.median.value, lie.p90.value) && order(lie.p90.value, lie.max));
        prop_assert!(order(lie.max, lie.all_within));
    }

    #[test]
    fn more_passes_show_more_and_anything_else_less(passes in 0_u64..200, fails in 0_u64..20, untold in 0_u64..20) {
        let repeats = Repeats { passes, fails, untold, ..Repeats::default() };
        let shown = |passes: u64, fails: u64| Repeats { passes, fails, ..repeats.clone() }.shown_share();
        let share = shown(passes, fails);
        prop_assert!(shown(passes + 1, fails) >= share && shown(passes, fails + 1) <= share);
        for wanted in SHARES {
            let missing = repeats.passes_missing(wanted).unwrap();
            prop_assert!(shown(passes + missing, fails) >= wanted - 1e-9);
            prop_assert!(missing == 0 || shown(passes + missing - 1, fails) < wanted);
        }
    }
}

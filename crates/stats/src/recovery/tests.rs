use proptest::prelude::*;

use super::simulation::{Outage, System};
use super::*;
use slatest_core::measure::{Counter, OperationShape, Recorder, Series, Threshold, Window};
use slatest_core::model::{Completion, Nanos, OperationId, Outcome, Verdict};

fn secs(secs: u64) -> Nanos {
    Nanos::from_secs(secs)
}

fn millis(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// Windows of 1 s, each of (operations, failures), all of them refused at once.
fn drawn(windows: &[(u64, u64)]) -> Cells {
    let mut recorder = Recorder::new(vec![OperationShape::default()], secs(1)).with_cohorts(true);
    let component = Component { name: "api/*".into(), operations: vec![OperationId(0)], promises: Vec::new() };
    let mut cells = Cells::new(component, secs(1), 0, windows.len());
    for (i, (n, failures)) in windows.iter().enumerate() {
        for k in 0..*n {
            let at = secs(i as u64) + Nanos(k * 900_000_000 / n);
            recorder.fired(OperationId(0), true, at, at);
            let completion = if k < *failures {
                Completion::failed(Outcome::Disconnected, Some(at), at + millis(1), "refused")
            } else {
                Completion::ok(at, at + millis(5))
            };
            recorder.ended(OperationId(0), true, at, &completion);
        }
        cells.add(&recorder.close_window());
    }
    cells
}

impl Cells {
    /// As if this had been promised from the start: on failures alone, of the only operation.
    fn promise(&mut self, promise: Promise) {
        self.component.promises.push(promise);
        for cell in &mut self.cells {
            cell.counts = vec![(cell.failed, cell.ok + cell.failed)];
        }
    }
}

fn watched(fault: u64, until: u64, restored_after: u64) -> Watched {
    Watched { fault: secs(fault), until: secs(until), restored_after, clock_bound: Nanos::ZERO }
}

/// 10 good windows, then these, then `after` good ones.
fn outage(windows: &[(u64, u64)], after: usize) -> Vec<(u64, u64)> {
    [&[(100, 0); 10], windows, &vec![(100, 0); after][..]].concat()
}

#[test]
fn restored_is_the_start_of_the_first_of_so_many_good_windows() {
    let windows = outage(&[(100, 100), (100, 100), (100, 40)], 30);
    let seen = recovery(&drawn(&windows), &watched(10, 43, 30));
    let restored = seen.restored.unwrap();
    assert_eq!(restored.after, secs(3));
    // From the start of the last bad window to the end of the first good one and its slowest answer.
    assert_eq!(restored.lower, secs(2));
    assert!(restored.upper > secs(4) && restored.upper < millis(4_010), "{}", restored.upper);
    assert_eq!((seen.bad, seen.unknown, seen.spells, seen.failed), (secs(3), Nanos::ZERO, 1, 240));
    assert_eq!((seen.first_error, seen.first_success), (Some(Nanos::ZERO), Some(seen.first_success.unwrap())));
    assert!(seen.timeline.starts_with("gggggbbbggg"), "{}", seen.timeline);
    // One window less, and it is not restored while it is watched.
    let seen = recovery(&drawn(&windows), &watched(10, 42, 30));
    assert_eq!((seen.restored, seen.down_until), (None, secs(2)));
}

#[test]
fn a_window_with_too_few_operations_is_unknown_and_ends_a_row() {
    let windows = outage(&[(100, 100)], 20).into_iter().chain([(3, 0)]).chain([(100, 0); 30]).collect::<Vec<_>>();
    let seen = recovery(&drawn(&windows), &watched(10, 62, 30));
    let restored = seen.restored.unwrap();
    assert_eq!(restored.after, secs(22), "the row begins after the unknown window");
    assert_eq!(restored.lower, Nanos::ZERO, "and the bounds say that it may have been at once");
    assert_eq!((seen.unknown, seen.bad), (secs(1), secs(1)));
    assert_eq!(judge_rto(&seen, secs(20)).verdict, Verdict::Inconclusive);
    // Nothing at all is no good window either.
    let silent = outage(&[(100, 100)], 0).into_iter().chain([(0, 0); 60]).collect::<Vec<_>>();
    assert_eq!(recovery(&drawn(&silent), &watched(10, 70, 30)).restored, None);
}

#[test]
fn few_that_all_fail_are_bad() {
    let windows = outage(&[(3, 3), (2, 2)], 30);
    let seen = recovery(&drawn(&windows), &watched(10, 42, 30));
    assert_eq!((seen.bad, seen.restored.unwrap().after), (secs(2), secs(2)));
}

#[test]
fn the_verdict_follows_the_bounds() {
    let seen = recovery(&drawn(&outage(&[(100, 100); 3], 30)), &watched(10, 43, 30));
    for (rto, verdict) in [
        (2, Verdict::Fail),
        (3, Verdict::Inconclusive),
        (4, Verdict::Inconclusive),
        (5, Verdict::Pass),
        (60, Verdict::Pass),
    ] {
        assert_eq!(judge_rto(&seen, secs(rto)).verdict, verdict, "{rto}");
    }
    // The clocks' bound widens both.
    let apart = Watched { clock_bound: secs(1), ..watched(10, 43, 30) };
    let wider = recovery(&drawn(&outage(&[(100, 100); 3], 30)), &apart);
    let (narrow, wide) = (seen.restored.unwrap(), wider.restored.unwrap());
    assert_eq!((narrow.lower - wide.lower, wide.upper - narrow.upper), (secs(1), secs(1)));
    assert_eq!(judge_rto(&wider, secs(5)).verdict, Verdict::Inconclusive);
}

#[test]
fn a_fault_that_did_nothing_is_inconclusive_and_never_a_recovery_of_zero() {
    let seen = recovery(&drawn(&[(100, 0); 50]), &watched(10, 50, 30));
    assert_eq!((seen.first_error, seen.restored), (None, None));
    let judged = judge_rto(&seen, secs(60));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert!(judged.message.unwrap().contains("the fault did nothing"));
    // Where nothing is known, it doesn't say so.
    let seen = recovery(&drawn(&[(2, 0); 50]), &watched(10, 50, 30));
    let judged = judge_rto(&seen, secs(60));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert!(judged.message.unwrap().starts_with("nothing is known"));
}

#[test]
fn what_was_broken_before_the_fault_says_nothing_of_it() {
    let promise =
        Promise { message: "error_rate < 1%".into(), share: 0.01, counters: vec![(OperationId(0), Counter::Failures)] };
    let windows = [[(100, 30); 10].to_vec(), [(100, 100); 3].to_vec(), [(100, 0); 40].to_vec()].concat();
    let mut cells = drawn(&windows);
    cells.promise(promise);
    let seen = recovery(&cells, &watched(10, 53, 30));
    assert!(seen.restored.is_some());
    let judged = judge_rto(&seen, secs(60));
    assert_eq!((judged.verdict, judged.measured.as_str()), (Verdict::Inconclusive, "bad before the fault"));
}

#[test]
fn what_never_recovers_fails_with_its_lower_bound() {
    let seen = recovery(&drawn(&outage(&[(100, 100); 90], 0)), &watched(10, 100, 30));
    assert_eq!((seen.restored, seen.down_until), (None, secs(89)));
    let judged = judge_rto(&seen, secs(60));
    assert_eq!((judged.verdict, judged.message.unwrap().as_str()), (Verdict::Fail, "still down after 89.0 s"));
    // A watch that ends before the target does not show that it was missed.
    let short = recovery(&drawn(&outage(&[(100, 100); 90], 0)), &watched(10, 40, 30));
    assert_eq!(judge_rto(&short, secs(60)).verdict, Verdict::Inconclusive);
}

#[test]
fn flapping_is_no_recovery_and_shows() {
    let flaps: Vec<(u64, u64)> = (0..40).map(|i| (100, if i % 10 < 2 { 100 } else { 0 })).collect();
    let seen = recovery(&drawn(&outage(&flaps, 30)), &watched(10, 80, 30));
    assert_eq!(seen.restored.unwrap().after, secs(32));
    assert_eq!((seen.spells, seen.bad), (4, secs(8)));
    // Bad again after it counted as restored: it is told, and part of the bad time.
    let windows = outage(&[(100, 100)], 30).into_iter().chain([(100, 100); 2]).chain([(100, 0); 5]).collect::<Vec<_>>();
    let seen = recovery(&drawn(&windows), &watched(10, 48, 30));
    assert_eq!((seen.restored.unwrap().after, seen.bad_again, seen.bad), (secs(1), secs(2), secs(3)));
    assert!(judge_rto(&seen, secs(60)).message.unwrap().contains("did not stay so"));
}

#[test]
fn an_impact_that_comes_late_is_timed_from_the_fault() {
    // Ten windows in which nothing shows, the row that is wanted among them.
    let windows: Vec<(u64, u64)> =
        [[(100, 0); 20], [(100, 0); 20]].concat().into_iter().chain([(100, 100); 5]).chain([(100, 0); 30]).collect();
    let seen = recovery(&drawn(&windows), &watched(10, 75, 10));
    assert_eq!((seen.first_error, seen.restored.unwrap().after), (Some(secs(30)), secs(35)));
}

#[test]
fn a_steady_share_of_failures_is_no_outage() {
    // 2 % always failed; with the fault 60 % do.
    let mut windows = vec![(100, 2); 60];
    windows.extend([(100, 60); 4]);
    windows.extend([(100, 2); 40]);
    let seen = recovery(&drawn(&windows), &watched(60, 104, 30));
    assert_eq!((seen.restored.unwrap().after, seen.bad), (secs(4), secs(4)));
}

#[test]
fn a_partial_outage_that_single_windows_hide_is_no_good_row() {
    // One of 30 fails in each window: a window alone could be chance, a row is not.
    let hidden: Vec<(u64, u64)> =
        [[(30, 0); 100].to_vec(), [(30, 30); 2].to_vec(), [(30, 1); 40].to_vec(), [(30, 0); 40].to_vec()].concat();
    let seen = recovery(&drawn(&hidden), &watched(100, 182, 30));
    let restored = seen.restored.unwrap();
    // Its last two windows lie in the row's doubtful beginning: the bounds hold its end, 42 s.
    assert!(restored.after >= secs(40) && restored.upper >= secs(42) && restored.upper < secs(43), "{restored:?}");
}

#[test]
fn promises_decide_what_is_good() {
    let threshold = Threshold { series: Series::ResponseTime, limit: millis(100) };
    let shape = OperationShape { thresholds: vec![threshold], ..OperationShape::default() };
    let windows = |slow: std::ops::Range<u64>| -> Vec<Window> {
        let mut recorder = Recorder::new(vec![shape.clone()], secs(1)).with_cohorts(true);
        (0..60)
            .map(|i| {
                for k in 0..100 {
                    let at = secs(i) + millis(k * 5);
                    recorder.fired(OperationId(0), true, at, at);
                    let took = millis(if slow.contains(&i) { 150 } else { 40 });
                    recorder.ended(OperationId(0), true, at, &Completion::ok(at, at + took));
                }
                recorder.close_window()
            })
            .collect()
    };
    let counters = |counter| vec![(OperationId(0), counter)];
    let promises = vec![
        Promise { message: "p95 < 100 ms".into(), share: 0.05, counters: counters(Counter::Threshold(0)) },
        Promise { message: "error_rate < 1%".into(), share: 0.01, counters: counters(Counter::Failures) },
    ];
    let read = |promises: &[Promise]| {
        let component =
            Component { name: "api/*".into(), operations: vec![OperationId(0)], promises: promises.to_vec() };
        let mut cells = Cells::new(component, secs(1), 0, 60);
        windows(20..25).iter().for_each(|window| cells.add(window));
        recovery(&cells, &watched(20, 60, 30))
    };
    let promised = read(&promises);
    assert_eq!((promised.bad, promised.failed, promised.restored.unwrap().after), (secs(5), 0, secs(5)));
    assert_eq!(promised.first_error, Some(Nanos::ZERO), "late is as good as failed");
    assert_eq!(promised.good, ["p95 < 100 ms", "error_rate < 1%"]);
    // Without a promise on times: within four times the usual, which 150 ms of 40 are.
    let usual = read(&[]);
    assert_eq!((usual.bad, usual.first_error), (Nanos::ZERO, None));
    assert_eq!(usual.good.len(), 2, "{:?}", usual.good);
}

#[test]
fn a_stall_of_the_generator_is_unknown_and_never_bad() {
    let windows = outage(&[(100, 100), (100, 100)], 30);
    let mut cells = drawn(&windows);
    cells.add(&Window { index: 11, length: secs(1), spoiled: true, ..Window::default() });
    let seen = recovery(&cells, &watched(10, 42, 30));
    assert_eq!((seen.bad, seen.unknown), (secs(1), secs(1)));
    assert_eq!(seen.restored.unwrap().lower, Nanos::ZERO);
}

#[test]
fn the_fewest_operations_follow_from_power() {
    // With 11, 1 − (1 + 11) / 2^11 = .994 for two of them in an outage of half; with 10, .989.
    assert_eq!(fewest_operations(0.0005), Some(11));
    let table = [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5].map(|share| fewest_operations(share).unwrap());
    assert!(table.is_sorted() && table[5] < 200, "{table:?}");
    assert_eq!((fewest_operations(1.0), fewest_operations(f64::NAN)), (None, None));
}

/// By the ends of operations: when the last window with a failure is over.
fn by_ends(system: &System) -> Nanos {
    let windows = system.windows();
    let failing = |window: &&Window| window.judged.iter().any(|(_, tally)| tally.failures() > 0);
    windows.iter().rev().find(failing).map_or(Nanos::ZERO, |last| last.start() + last.length - system.fault)
}

#[test]
fn timeouts_do_not_lengthen_an_outage() {
    let outage = millis(7_400);
    for timeout in [secs(1), secs(5), secs(10), secs(20)] {
        let system = System { outage: Outage::Swallows(timeout), ..System::new(5).down(outage) };
        let restored = system.recovery().restored.unwrap();
        assert!(restored.lower <= outage && outage <= restored.upper, "{timeout} {restored:?}");
        assert!(restored.upper - restored.lower <= millis(2_100), "{timeout} {restored:?}");
        // The same windows, read by the ends of operations, say as much more as these waited.
        assert!(by_ends(&system) + secs(1) >= outage + timeout, "{timeout}: {}", by_ends(&system));
    }
}

#[test]
fn users_who_wait_are_unknown_and_no_outage() {
    // 40 users; while they wait for their timeouts nobody asks, and nothing is known.
    let outage = millis(7_400);
    let system =
        System { users: Some((40, millis(200))), outage: Outage::Swallows(secs(6)), ..System::new(8).down(outage) };
    let seen = system.recovery();
    let restored = seen.restored.unwrap();
    assert!(restored.lower <= outage && outage <= restored.upper, "{restored:?} {}", seen.timeline);
    assert!(seen.unknown > secs(3) && seen.bad < outage, "{seen:?}");
}

#[test]
fn what_was_under_way_when_the_fault_came_is_not_usual() {
    // Operations of three seconds: those of the last windows before the fault fail with it.
    let mut recorder = Recorder::new(vec![OperationShape::default()], secs(1)).with_cohorts(true);
    let component = Component { name: "api/*".into(), operations: vec![OperationId(0)], promises: Vec::new() };
    let mut cells = Cells::new(component, secs(1), 0, 100);
    let mut ends = Vec::new();
    for second in 0..60 {
        for k in 0..100 {
            let at = secs(second) + millis(k * 10);
            recorder.fired(OperationId(0), true, at, at);
            let done = at + secs(3);
            // The fault is at 30 s, and over at once; whatever was under way fails.
            let broken = at < secs(30) && done > secs(30);
            let failed = Completion::failed(Outcome::Disconnected, Some(at), secs(30), "reset");
            ends.push((at, if broken { failed } else { Completion::ok(at, done) }));
        }
        ends.retain(|(at, completion)| {
            let over = completion.done < secs(second + 1);
            if over {
                recorder.ended(OperationId(0), true, *at, completion);
            }
            !over
        });
        cells.add(&recorder.close_window());
    }
    let rule = Rule::of(&cells, 30);
    assert!(rule.message()[0].starts_with("failures as before the fault (0 of"), "{:?}", rule.message());
}

#[test]
fn the_first_error_is_when_a_user_asked_and_not_when_he_gave_up() {
    let system = System { outage: Outage::Swallows(secs(10)), ..System::new(6).down(secs(5)) };
    let seen = system.recovery();
    assert!(seen.first_error.unwrap() < millis(100), "{:?}", seen.first_error);
    assert!(seen.first_success.unwrap() >= secs(5), "{:?}", seen.first_success);
}

#[test]
fn windows_of_100_ms_time_to_a_fifth_of_a_second() {
    let outage = millis(1_730);
    let system = System { rate: 400.0, window: millis(100), ..System::new(7).down(outage) };
    let restored = system.recovery().restored.unwrap();
    assert!(restored.lower <= outage && outage <= restored.upper, "{restored:?}");
    assert!(restored.upper - restored.lower <= millis(250), "{restored:?}");
    // With 40/s a window holds too few to tell, and that is said.
    let seen = System { rate: 40.0, window: millis(100), ..System::new(7).down(outage) }.recovery();
    assert_eq!(seen.restored, None);
    assert!(seen.unknown > seen.bad, "{seen:?}");
}

#[test]
fn pictures_show_marks_above_cells() {
    let seen = recovery(&drawn(&outage(&[(100, 100), (100, 100), (2, 0)], 30)), &watched(10, 43, 30));
    let marks =
        [Mark { letter: 'F', at: secs(10) }, Mark { letter: 'D', at: secs(10) }, Mark { letter: 'R', at: secs(13) }];
    let (above, cells, each) = picture(&seen, &marks, 80);
    assert_eq!((above.as_str(), each), ("     FD R", 1));
    assert!(cells.starts_with("▁▁▁▁▁██·▁▁▁"), "{cells}");
    let (above, cells, each) = picture(&seen, &marks, 13);
    assert_eq!((above.as_str(), cells.as_str(), each), (" FDR", "▁██▁▁▁▁▁▁▁▁▁▁", 3));
    assert_eq!(picture(&seen, &[Mark { letter: 'F', at: Nanos::ZERO }], 80).0, "", "what is not shown has no mark");
}

fn outages() -> impl Strategy<Value = Outage> {
    prop_oneof![
        Just(Outage::Refuses),
        (1..20_u64).prop_map(|s| Outage::Swallows(secs(s))),
        (1..30_u64).prop_map(|s| Outage::Holds(secs(s))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The truth lies within the bounds, whatever the phase, the length, the window, the load and the way in
    /// which operations meet the outage.
    #[test]
    fn the_truth_is_within_the_bounds(
        seed in any::<u64>(),
        phase in 0..1_000_u64,
        length in 1_100..25_000_u64,
        rate in 70.0..150.0_f64,
        window in prop_oneof![Just(500_u64), Just(1_000), Just(2_000)],
        outage in outages(),
    ) {
        let length = millis(length);
        // Without noise: one window in a thousand may be bad by chance, and puts a recovery off.
        let system = System {
            rate,
            window: millis(window),
            fault: secs(20) + millis(phase),
            outage,
            until: secs(130),
            ..System::new(seed)
        };
        let system = system.down(length);
        let seen = system.recovery();
        prop_assert!(seen.first_error.is_some(), "{seen:?}");
        let restored = seen.restored.expect("restored within the watch");
        prop_assert!(restored.lower <= length && length <= restored.upper, "{length} {restored:?} {}", seen.timeline);
    }

    /// So it does where only some operations meet it: one shard of several, one instance behind a balancer.
    #[test]
    fn a_partial_outage_is_within_the_bounds(
        seed in any::<u64>(),
        phase in 0..1_000_u64,
        length in 3_000..20_000_u64,
        hit in 0.1..0.9_f64,
    ) {
        let length = millis(length);
        let system = System { fault: secs(20) + millis(phase), hit, until: secs(120), ..System::new(seed) };
        let seen = system.down(length).recovery();
        let restored = seen.restored.expect("restored within the watch");
        prop_assert!(restored.lower <= length && length <= restored.upper, "{length} {restored:?} {}", seen.timeline);
    }

    /// A second outage before the row is whole puts the recovery off to its end.
    #[test]
    fn an_outage_that_comes_back_is_timed_to_its_last_end(seed in any::<u64>(), gap in 2_000..20_000_u64) {
        let fault = millis(20_300);
        let again = fault + secs(4) + millis(gap);
        let system = System {
            outages: vec![(fault, fault + secs(4)), (again, again + secs(3))],
            until: secs(120),
            ..System::new(seed)
        };
        let seen = system.recovery();
        let (restored, truth) = (seen.restored.expect("restored"), again + secs(3) - fault);
        prop_assert!(restored.lower <= truth && truth <= restored.upper, "{truth} {restored:?}");
        prop_assert_eq!(seen.spells, 2);
    }

    /// No timeline upsets it, and what it says adds up.
    #[test]
    fn any_timeline_is_read(
        windows in prop::collection::vec((0..60_u64, 0..60_u64), 1..120),
        fault in 0..150_u64,
        length in 0..150_u64,
        row in 0..40_u64,
    ) {
        let windows: Vec<(u64, u64)> = windows.into_iter().map(|(n, bad)| (n, bad.min(n))).collect();
        let seen = recovery(&drawn(&windows), &watched(fault, fault + length, row));
        prop_assert!(seen.bad + seen.unknown <= seen.watched);
        prop_assert_eq!(seen.first_error.is_some(), seen.spells > 0);
        if let Some(restored) = seen.restored {
            prop_assert!(restored.lower <= restored.after && restored.after < restored.upper);
        }
        let part = judge_rto(&seen, secs(20));
        prop_assert!(part.verdict != Verdict::Pass || seen.restored.is_some_and(|r| r.upper < secs(20)));
    }
}

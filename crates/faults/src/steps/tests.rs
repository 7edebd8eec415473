//! All ways through a drill.

use proptest::prelude::*;

use super::*;

fn timing(hold: Option<u64>, heal: HealBy) -> Timing {
    Timing {
        steady_within: Nanos::from_secs(60),
        inject_within: Nanos::from_secs(10),
        hold: hold.map(Nanos::from_secs),
        watch: Nanos::from_secs(120),
        heal_within: Nanos::from_secs(30),
        verify_within: Nanos::from_secs(5),
        heal,
    }
}

/// Plays news, each after so many seconds, and gives what was asked for.
fn play(steps: &mut Steps, news: &[(u64, News)]) -> Vec<Act> {
    let mut now = Nanos::ZERO;
    let mut acts = Vec::new();
    for (secs, news) in news {
        now += Nanos::from_secs(*secs);
        acts.extend(steps.take(now, news.clone()));
    }
    acts
}

fn good() -> Result<(), String> {
    Ok(())
}

fn bad() -> Result<(), String> {
    Err("no".into())
}

#[test]
fn without_a_hold_the_platform_recovers_first_and_is_healed_then() {
    let mut steps = Steps::new(timing(None, HealBy::Auto), Nanos::ZERO);
    let acts = play(
        &mut steps,
        &[
            (10, News::Steady),
            (0, News::Planned(good())),
            (1, News::Injected(good())),
            (30, News::Watched(true)),
            (2, News::Healed(good())),
            (1, News::Verified(good())),
        ],
    );
    assert_eq!(acts, [Act::Plan, Act::Inject, Act::Heal, Act::Verify]);
    let end = steps.conclusion().unwrap();
    assert!(end.as_planned() && end.restored, "{end:?}");
}

#[test]
fn with_a_hold_it_is_healed_at_its_end_and_watched_after_that() {
    let mut steps = Steps::new(timing(Some(20), HealBy::Auto), Nanos::ZERO);
    let start = [(0, News::Steady), (0, News::Planned(good())), (1, News::Injected(good()))];
    assert_eq!(play(&mut steps, &start), [Act::Plan, Act::Inject]);
    let at = |secs| Nanos::from_secs(secs);
    assert_eq!(steps.take(at(20), News::Tick), None);
    assert_eq!(steps.take(at(21), News::Watched(true)), None, "it can't be restored before it is healed");
    assert_eq!(steps.take(at(21), News::Tick), Some(Act::Heal));
    assert_eq!(steps.take(at(22), News::Healed(good())), None);
    assert_eq!(steps.stage(), Stage::Watching);
    assert_eq!(steps.take(at(142), News::Tick), Some(Act::Verify));
    steps.take(at(143), News::Verified(good()));
    let end = steps.conclusion().unwrap();
    assert!(end.as_planned() && !end.restored, "{end:?}");
}

#[test]
fn a_person_heals_what_went_as_planned_and_the_drill_what_did_not() {
    let start = [(0, News::Steady), (0, News::Planned(good()))];
    let mut steps = Steps::new(timing(None, HealBy::Manual), Nanos::ZERO);
    play(&mut steps, &start);
    assert_eq!(play(&mut steps, &[(1, News::Injected(good())), (5, News::Watched(true))]), []);
    assert_eq!(steps.conclusion().unwrap().healing, Healing::Manual);
    let mut steps = Steps::new(timing(None, HealBy::Manual), Nanos::ZERO);
    play(&mut steps, &start);
    assert_eq!(play(&mut steps, &[(1, News::Injected(bad()))]), [Act::Heal]);
}

#[test]
fn what_was_never_injected_is_never_healed() {
    let ways: [&[(u64, News)]; 4] = [
        &[(60, News::Tick)],
        &[(1, News::Stop("Ctrl-C".into()))],
        &[(1, News::Steady), (0, News::Planned(bad()))],
        &[(1, News::Steady), (10, News::Tick)],
    ];
    for way in ways {
        let mut steps = Steps::new(timing(None, HealBy::Auto), Nanos::ZERO);
        let acts = play(&mut steps, way);
        assert!(!acts.contains(&Act::Inject) && !acts.contains(&Act::Heal), "{way:?}: {acts:?}");
        let end = steps.conclusion().unwrap();
        assert_eq!((end.injection, end.healing), (Injection::No, Healing::NotNeeded), "{way:?}");
        assert!(!end.as_planned() && !end.wrong.is_empty());
    }
}

#[test]
fn a_heal_that_fails_is_slow_or_is_not_seen_to_have_worked_is_loud() {
    let start = [(0, News::Steady), (0, News::Planned(good())), (1, News::Injected(good())), (1, News::Watched(true))];
    let ways: [&[(u64, News)]; 3] = [
        &[(1, News::Healed(bad())), (1, News::Verified(good()))],
        &[(32, News::Tick), (1, News::Verified(good()))],
        &[(1, News::Healed(good())), (1, News::Verified(bad()))],
    ];
    for way in ways {
        let mut steps = Steps::new(timing(None, HealBy::Auto), Nanos::ZERO);
        play(&mut steps, &start);
        let mut now = Nanos::from_secs(2);
        for (secs, news) in way {
            now += Nanos::from_secs(*secs);
            steps.take(now, news.clone());
        }
        let end = steps.conclusion().unwrap();
        assert!(end.left_broken() && !end.as_planned(), "{way:?}: {end:?}");
    }
}

fn any_news() -> impl Strategy<Value = News> {
    let end = prop_oneof![Just(Ok(())), Just(Err("no".to_owned()))];
    prop_oneof![
        Just(News::Steady),
        Just(News::Watched(true)),
        Just(News::Tick),
        Just(News::Stop("Ctrl-C".into())),
        end.clone().prop_map(News::Planned),
        end.clone().prop_map(News::Injected),
        end.clone().prop_map(News::Healed),
        end.prop_map(News::Verified),
    ]
}

fn any_timing() -> impl Strategy<Value = Timing> {
    let length = || (0u64..5).prop_map(Nanos);
    (length(), length(), proptest::option::of(length()), length(), length(), length(), any::<bool>()).prop_map(
        |(steady_within, inject_within, hold, watch, heal_within, verify_within, manual)| Timing {
            steady_within,
            inject_within,
            hold,
            watch,
            heal_within,
            verify_within,
            heal: if manual { HealBy::Manual } else { HealBy::Auto },
        },
    )
}

proptest! {
    /// Whatever happens in whatever order: it is injected at most once, healed at most once and only after it
    /// was injected, and once time has passed the drill has ended with everything healed, or said otherwise.
    #[test]
    fn what_was_injected_is_healed(timing in any_timing(), all in prop::collection::vec((0u64..4, any_news()), 0..40)) {
        let mut steps = Steps::new(timing, Nanos::ZERO);
        let mut now = Nanos::ZERO;
        let mut acts = Vec::new();
        let mut broken_off = false;
        for (passed, news) in all {
            now += Nanos(passed);
            let failed = matches!(&news, News::Stop(_) | News::Injected(Err(_)));
            let before = steps.stage();
            acts.extend(steps.take(now, news));
            broken_off |= failed && before == Stage::Injecting;
        }
        // Nobody answers any more: time alone must end it.
        for _ in 0..10 {
            let Some(deadline) = steps.deadline() else { break };
            now = now.max(deadline);
            acts.extend(steps.take(now, News::Tick));
        }
        let end = steps.conclusion().expect("it ends");
        let times = |act| acts.iter().filter(|a| **a == act).count();
        prop_assert!(times(Act::Inject) <= 1 && times(Act::Heal) <= 1);
        if let Some(healed) = acts.iter().position(|a| *a == Act::Heal) {
            prop_assert!(acts.iter().position(|a| *a == Act::Inject).is_some_and(|injected| injected < healed));
        }
        if times(Act::Inject) == 1 {
            let manual = end.healing == Healing::Manual;
            prop_assert!(times(Act::Heal) == 1 || manual, "{:?} {:?}", acts, end);
            prop_assert!(!(manual && broken_off), "what was broken off is not left to a person");
            prop_assert!(end.healing != Healing::NotNeeded);
        } else {
            prop_assert_eq!(end.healing, Healing::NotNeeded);
            prop_assert_eq!(end.injection, Injection::No);
        }
        prop_assert!(end.left_broken() <= !end.wrong.is_empty(), "a failure has words");
    }
}

use std::fs::OpenOptions;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::wire::Window;

fn membership() -> Membership {
    Membership { run: "r".into(), agent: "a".into(), index: 1, of: 3, incarnation: vec![7; 16].into() }
}

/// An interval that can be told from every other one.
fn interval(index: u64, bytes: usize) -> Interval {
    let window = Window { index, dispatch_lag: vec![index as u8; bytes].into(), ..Window::default() };
    Interval { number: 0, window: Some(window), cpu_share: 0.5 }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    /// Sends so many.
    Send(u8),
    /// The coordinator has taken in so many of those sent, and its word arrives.
    Acknowledge(u8),
    /// It has taken in so many, and its word is lost with the connection.
    Break(u8),
    Reconnect,
    /// The process ends while it is alone, with so many bytes of a frame half written, and begins anew.
    Crash(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            4 => (0..400_usize).prop_map(Step::Push),
            3 => (1..6_u8).prop_map(Step::Send),
            3 => (0..4_u8).prop_map(Step::Acknowledge),
            1 => (0..4_u8).prop_map(Step::Break),
            2 => Just(Step::Reconnect),
            1 => (0..20_u8).prop_map(Step::Crash),
        ],
        1..120,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: what is sent on a connection is exactly what the coordinator
    /// does not have, in order and unchanged.
    #[test]
    fn what_is_sent_is_exactly_what_is_not_acknowledged(steps in steps(), memory_max in 0..1_500_usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::new(folder.path(), membership(), memory_max, DISK_MAX);
        let mut made: Vec<Interval> = Vec::new();
        // What the coordinator has; what is under way to it.
        let (mut has, mut sent, mut connected) = (0_usize, 0_usize, true);
        for step in steps {
            match step {
                Step::Push(bytes) => {
                    let mut interval = interval(made.len() as u64, bytes);
                    interval.number = outbox.push(interval.clone()).unwrap();
                    made.push(interval);
                    prop_assert_eq!(outbox.made(), made.len() as u64);
                    prop_assert!(outbox.bytes().0 <= memory_max);
                    prop_assert!(connected || outbox.bytes().0 == 0);
                }
                Step::Send(count) if connected => {
                    for _ in 0..count {
                        prop_assert_eq!(outbox.has_next(), sent < made.len());
                        let next = outbox.take_next().unwrap();
                        prop_assert_eq!(next.as_ref(), made.get(sent));
                        sent += usize::from(next.is_some());
                    }
                }
                Step::Acknowledge(count) if connected => {
                    has = (has + usize::from(count)).min(sent);
                    outbox.acknowledge(has as u64).unwrap();
                    prop_assert_eq!(outbox.waiting(), made.len() - has);
                }
                Step::Break(count) => {
                    has = (has + usize::from(count)).min(sent).max(has);
                    outbox.disconnected().unwrap();
                    prop_assert_eq!(outbox.bytes().0, 0);
                    connected = false;
                }
                Step::Reconnect => {
                    outbox.reconnected(has as u64).unwrap();
                    (sent, connected) = (has, true);
                    prop_assert_eq!(outbox.is_empty(), has == made.len());
                }
                Step::Crash(torn) if !connected && outbox.bytes().1 > 0 => {
                    let path = outbox.path().to_owned();
                    let (waiting, before) = (outbox.waiting(), outbox.made());
                    drop(outbox);
                    let half = [&300_u32.to_le_bytes()[..], &[0xee; 16]].concat();
                    let half = &half[..half.len().min(torn.into())];
                    OpenOptions::new().append(true).open(&path).unwrap().write_all(half).unwrap();
                    outbox = Outbox::reopen(folder.path(), memory_max, DISK_MAX).unwrap().unwrap();
                    prop_assert_eq!(outbox.membership(), &membership());
                    // What was acknowledged after the file was begun may be there again; what was not, is.
                    prop_assert!(outbox.waiting() >= waiting);
                    outbox.acknowledge(has as u64).unwrap();
                    prop_assert_eq!((outbox.waiting(), outbox.made()), (made.len() - has, before));
                }
                Step::Send(_) | Step::Acknowledge(_) | Step::Crash(_) => {}
            }
        }
        outbox.reconnected(has as u64).unwrap();
        let rest: Vec<Interval> = std::iter::from_fn(|| outbox.take_next().unwrap()).collect();
        prop_assert_eq!(&rest, &made[has..]);
        outbox.acknowledge(made.len() as u64).unwrap();
        prop_assert!(outbox.is_empty());
        outbox.discard().unwrap();
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn the_file_is_shortened_as_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::new(folder.path(), membership(), MEMORY_MAX, DISK_MAX);
    outbox.disconnected().unwrap();
    for index in 0..40 {
        outbox.push(interval(index, 1024 * 1024)).unwrap();
    }
    let full = outbox.bytes().1;
    assert!(full > 40 * 1024 * 1024);
    outbox.reconnected(30).unwrap();
    let rest = outbox.bytes().1;
    assert!(rest < full / 3, "{rest} of {full}");
    assert_eq!(std::fs::metadata(outbox.path()).unwrap().len(), rest);
    let numbers: Vec<u64> = std::iter::from_fn(|| outbox.take_next().unwrap()).map(|i| i.number).collect();
    assert_eq!(numbers, (31..=40).collect::<Vec<u64>>());
    outbox.acknowledge(40).unwrap();
    assert!(outbox.bytes().1 < 1024, "{:?}", outbox.bytes());
    drop(outbox);
    let again = Outbox::reopen(folder.path(), MEMORY_MAX, DISK_MAX).unwrap().unwrap();
    assert_eq!((again.made(), again.waiting()), (40, 0));
}

#[test]
fn what_can_not_be_kept_is_refused_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::new(folder.path(), membership(), 0, 5_000);
    for index in 0..4 {
        outbox.push(interval(index, 1_000)).unwrap();
    }
    let error = outbox.push(interval(4, 1_000)).unwrap_err();
    assert!(matches!(error, OutboxError::Full { .. }), "{error}");
    assert_eq!((outbox.made(), outbox.waiting()), (4, 4));
    let error = outbox.acknowledge(5).unwrap_err();
    assert!(error.to_string().contains("only 4 were made"), "{error}");
    // There is room again once they are acknowledged.
    outbox.acknowledge(4).unwrap();
    assert_eq!(outbox.push(interval(4, 1_000)).unwrap(), 5);
}

#[test]
fn a_file_that_is_no_outbox_is_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Outbox::reopen(folder.path(), 0, DISK_MAX).unwrap().is_none());
    for content in [&b""[..], b"slatest outbox 1\n", b"slatest outbox 2\nxxxxxxxxxxxxxxxxxxxxx", &[0xff; 300]] {
        std::fs::write(folder.path().join("outbox"), content).unwrap();
        let error = Outbox::reopen(folder.path(), 0, DISK_MAX).unwrap_err();
        assert!(matches!(error, OutboxError::Damaged { .. }), "{error}");
    }
}

#[test]
fn each_bit_that_turns_is_told_and_the_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::new(folder.path(), membership(), MEMORY_MAX, DISK_MAX);
    outbox.disconnected().unwrap();
    for index in 0..4 {
        outbox.push(interval(index, 20)).unwrap();
    }
    let path = outbox.path().to_owned();
    drop(outbox);
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut turned = whole.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &turned).unwrap();
        let error = Outbox::reopen(folder.path(), MEMORY_MAX, DISK_MAX).expect_err("it is not what was written");
        assert!(error.to_string().contains(path.to_str().unwrap()), "bit {bit}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), turned, "the file was left");
    }
}

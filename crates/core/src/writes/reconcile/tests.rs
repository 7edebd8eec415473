use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::OperationId;

fn scope() -> WriteScope {
    WriteScope::of("run", "scenario")
}

fn entry(seq: u64, outcome: WriteOutcome) -> LedgerEntry {
    LedgerEntry {
        id: scope().id(seq, 0),
        operation: OperationId(0),
        intended: Nanos(seq * 10),
        sent: Some(Nanos(seq * 10 + 1)),
        done: Nanos(seq * 10 + 5),
        outcome,
        place: None,
        value: None,
    }
}

fn in_log(seq: u64, offset: i64) -> LedgerEntry {
    let place = Some(WritePlace::Offset { log: 0, partition: 3, offset });
    LedgerEntry { place, ..entry(seq, WriteOutcome::Acknowledged) }
}

fn polled(seq: u64, offset: i64) -> Found {
    let place = Some(WritePlace::Offset { log: 0, partition: 3, offset });
    Found { place, ..Found::present(scope().id(seq, 0)) }
}

fn check(fault: Option<u64>, entries: &[LedgerEntry], found: &[Found]) -> LedgerCheck {
    let scratch = tempfile::tempdir().unwrap();
    let mut reconciliation = Reconciliation::new(scratch.path(), scope(), fault.map(Nanos));
    found.iter().for_each(|f| reconciliation.found(f).unwrap());
    entries.iter().for_each(|e| reconciliation.expect(e).unwrap());
    reconciliation.finish().unwrap()
}

fn seqs(losses: &crate::writes::Losses) -> Vec<u64> {
    losses.named.iter().map(|loss| loss.id.seq()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn planted_losses_come_back_exactly(
        fates in proptest::collection::vec((0_u8..3, any::<bool>(), 0_usize..3), 1..300),
        strangers in proptest::collection::btree_set(1_000_u64..2_000, 0..5),
        fault in 0_u64..3_000,
        shuffle in any::<u64>(),
    ) {
        let outcomes = [WriteOutcome::Acknowledged, WriteOutcome::Rejected, WriteOutcome::Unknown];
        let mut entries = Vec::new();
        let mut found = Vec::new();
        for (seq, (outcome, there, more)) in (0..).zip(&fates) {
            entries.push(entry(seq, outcomes[usize::from(*outcome)]));
            let copies = if *there { 1 + more } else { 0 };
            found.extend(std::iter::repeat_n(Found::present(scope().id(seq, 0)), copies));
        }
        found.extend(strangers.iter().map(|seq| Found::present(scope().id(*seq, 0))));
        // Of another run: none of ours, whatever it holds.
        found.push(Found::present(WriteScope::of("other", "scenario").id(1, 0)));
        found.sort_by_key(|f| f.id.map(|id| (id.bits() as u64 ^ shuffle).wrapping_mul(0x9e37_79b9_7f4a_7c15)));

        let check = check(Some(fault), &entries, &found);
        let of = |kind: u8, there: bool| {
            (0_u64..).zip(&fates).filter(move |(_, f)| f.0 == kind && f.1 == there).map(|(seq, _)| seq)
        };
        let (before, after): (Vec<_>, Vec<_>) = of(0, false).partition(|seq| seq * 10 + 5 < fault);
        prop_assert_eq!(seqs(&check.lost), before.clone());
        prop_assert_eq!(seqs(&check.lost_after_fault), after);
        prop_assert_eq!(check.lost.count, before.len() as u64);
        let expected = before.first().map_or(0, |oldest| fault - (oldest * 10 + 5));
        prop_assert_eq!(check.recovery_point, Nanos(expected));
        prop_assert_eq!(check.acknowledged, fates.iter().filter(|f| f.0 == 0).count() as u64);
        prop_assert_eq!(check.rejected_found, of(1, true).count() as u64);
        let unknown = (check.unknown_writes.found, check.unknown_writes.not_found, check.unknown_writes.unresolved);
        prop_assert_eq!(unknown, (of(2, true).count() as u64, of(2, false).count() as u64, 0));
        prop_assert_eq!(check.duplicates, fates.iter().filter(|f| f.1).map(|f| f.2 as u64).sum::<u64>());
        let named: BTreeSet<_> = check.never_written_named.iter().map(|id| id.seq()).collect();
        prop_assert_eq!((check.never_written, named), (strangers.len() as u64, strangers));
        prop_assert!(check.is_complete() && check.log.is_none());
    }
}

#[test]
fn what_could_not_be_asked_for_is_neither_there_nor_lost() {
    let entries = [entry(0, WriteOutcome::Acknowledged), entry(1, WriteOutcome::Unknown)];
    let found = [0, 1].map(|seq| Found::unreadable(scope().id(seq, 0)));
    let check = check(Some(1_000), &entries, &found);
    assert_eq!((check.lost_count(), check.unreadable, check.unknown_writes.unresolved), (0, 1, 1));
    assert!(!check.is_complete());
}

#[test]
fn a_replica_that_lacks_what_the_primary_has_is_stale_and_nothing_is_lost() {
    let scratch = tempfile::tempdir().unwrap();
    let mut reconciliation = Reconciliation::new(scratch.path(), scope(), Some(Nanos(1_000)));
    reconciliation.set_readers(3);
    for seq in 0..4 {
        reconciliation.expect(&entry(seq, WriteOutcome::Acknowledged)).unwrap();
        for reader in 0..3 {
            // Write 1 is not on the first replica, write 2 on neither, write 3 only on the second.
            let there = match seq {
                0 => true,
                1 => reader != 1,
                2 => reader == 0,
                _ => reader == 2,
            };
            if there {
                reconciliation.found(&Found { reader, ..Found::present(scope().id(seq, 0)) }).unwrap();
            }
        }
    }
    let check = reconciliation.finish().unwrap();
    assert_eq!(check.stale, [2, 1]);
    assert_eq!(seqs(&check.lost), [3], "a replica is not what acknowledged it");
}

#[test]
fn another_value_than_was_written_is_told() {
    let entries = [1, 2].map(|seq| LedgerEntry { value: Some(seq), ..entry(seq, WriteOutcome::Acknowledged) });
    let found = [1, 2].map(|seq| Found { value: Some(2), ..Found::present(scope().id(seq, 0)) });
    let check = check(None, &entries, &found);
    assert_eq!((check.wrong_value, check.lost_count()), (1, 0));
}

#[test]
fn a_log_that_was_cut_lost_its_end_and_a_hole_is_no_cut() {
    let entries: Vec<_> = (0..10).map(|n| in_log(n, n as i64)).collect();
    let found: Vec<_> = [0, 1, 2, 4, 5, 6].map(|n| polled(n, n as i64)).into();
    let check = check(Some(1_000), &entries, &found);
    assert_eq!(seqs(&check.lost), [3, 7, 8, 9]);
    let log = check.log.unwrap();
    assert_eq!((log.lost_behind_end, log.conflicts, log.out_of_order), (3, 0, 0));
}

#[test]
fn one_offset_has_one_value() {
    // Offset 1 was acknowledged to two; offset 2 holds somebody else's record; 3 is as it should be.
    let entries = [in_log(0, 1), in_log(1, 1), in_log(2, 2), in_log(3, 3)];
    let nobody = Found { id: None, ..polled(0, 2) };
    let check = check(None, &entries, &[polled(0, 1), nobody, polled(3, 3)]);
    assert_eq!(seqs(&check.lost), [1, 2]);
    let log = check.log.unwrap();
    let place = |offset| WritePlace::Offset { log: 0, partition: 3, offset };
    assert_eq!((log.conflicts, log.conflicts_named), (2, vec![place(1), place(2)]));
}

#[test]
fn a_copy_is_no_loss_and_one_that_only_moved_is_told() {
    let entries = [in_log(0, 0), in_log(1, 1)];
    let check = check(None, &entries, &[polled(0, 0), polled(0, 5), polled(1, 6)]);
    assert_eq!((check.lost_count(), check.duplicates), (0, 1));
    assert_eq!(check.log.unwrap().moved, 1);
}

#[test]
fn what_was_acknowledged_stands_before_what_was_sent_later() {
    // Write n is acknowledged at 10n + 5 and sent at 10n + 1. Those at one time may stand either way.
    let overlapping = LedgerEntry { done: Nanos(100), ..in_log(0, 1) };
    let fine = check(None, &[overlapping, in_log(1, 0)], &[polled(0, 1), polled(1, 0)]);
    assert_eq!(fine.log.unwrap().out_of_order, 0);
    let turned = check(None, &[in_log(0, 1), in_log(1, 0)], &[polled(0, 1), polled(1, 0)]);
    let log = turned.log.unwrap();
    assert_eq!(log.out_of_order, 1);
    assert_eq!(log.out_of_order_named, [WritePlace::Offset { log: 0, partition: 3, offset: 1 }]);
}

#[test]
fn partitions_have_orders_of_their_own() {
    let elsewhere = |seq: u64| {
        let place = Some(WritePlace::Offset { log: 0, partition: 4, offset: 7 });
        (LedgerEntry { place: place.clone(), ..in_log(seq, 0) }, Found { place, ..polled(seq, 0) })
    };
    let (late, found) = elsewhere(0);
    let check = check(None, &[in_log(9, 3), late], &[polled(9, 3), found]);
    assert_eq!(check.log.unwrap().out_of_order, 0);
}

#[test]
fn only_so_many_losses_are_named_and_the_oldest_always_is() {
    let entries: Vec<_> = (0..5_000).rev().map(|n| entry(n, WriteOutcome::Acknowledged)).collect();
    let check = check(Some(100_000), &entries, &[]);
    assert_eq!((check.lost.count, check.lost.named.len()), (5_000, crate::writes::result::LOSSES_NAMED_MAX));
    assert_eq!(check.recovery_point, Nanos(100_000 - 5));
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    procfs::process::Process::myself().and_then(|p| p.statm()).unwrap().resident * procfs::page_size()
}

#[test]
#[ignore = "five million entries take minutes without optimisation"]
fn memory_does_not_grow_from_four_hundred_thousand_entries_to_five_million() {
    let grown = |count: u64| {
        let scratch = tempfile::tempdir().unwrap();
        let before = resident();
        let mut most = before;
        let mut reconciliation = Reconciliation::new(scratch.path(), scope(), Some(Nanos::MAX));
        for seq in 0..count {
            reconciliation.expect(&in_log(seq, seq as i64)).unwrap();
            if seq % 100_000 != 7 {
                reconciliation.found(&polled(seq, seq as i64)).unwrap();
            }
            if seq % 65_536 == 0 {
                most = most.max(resident());
            }
        }
        let check = reconciliation.finish().unwrap();
        most = most.max(resident());
        assert_eq!((check.acknowledged, check.lost.count), (count, count.div_ceil(100_000)));
        most - before
    };
    let few = grown(400_000);
    let many = grown(5_000_000);
    assert!(many < few * 2 + (16 << 20), "{few} bytes for 400,000 and {many} for 5,000,000");
}

#[test]
fn a_replica_that_was_not_asked_is_not_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let mut reconciliation = Reconciliation::new(scratch.path(), scope(), None);
    reconciliation.set_readers(3);
    for seq in 0..10 {
        reconciliation.expect(&entry(seq, WriteOutcome::Acknowledged)).unwrap();
        let id = scope().id(seq, 0);
        reconciliation.found(&Found::present(id)).unwrap();
        // The first has six of ten; the second was asked for the first two and has one of them.
        if seq < 6 {
            reconciliation.found(&Found { reader: 1, ..Found::present(id) }).unwrap();
        }
        match seq {
            0 => reconciliation.found(&Found { reader: 2, ..Found::present(id) }).unwrap(),
            1 => {}
            _ => reconciliation.found(&Found { reader: 2, ..Found::unreadable(id) }).unwrap(),
        }
    }
    let check = reconciliation.finish().unwrap();
    assert_eq!((check.stale.as_slice(), check.unasked.as_slice()), (&[4, 1][..], &[0, 8][..]));
    assert_eq!((check.lost_count(), check.unreadable), (0, 0), "replicas say nothing of what is lost");
}

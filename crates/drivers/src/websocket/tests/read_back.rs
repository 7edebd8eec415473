//! A server that is restored from a backup has lost the edits since, and says so itself.

use std::collections::BTreeSet;

use super::server::{Behaviour, Server};
use super::{Bench, EDITS, run};
use crate::{ReadBackError, check_ledger};
use slatest_core::model::{Completion, LedgerEntry, Nanos, OperationId, WriteOutcome};
use slatest_core::writes::{Ledger, LedgerSink, LedgerWriter, Record};

/// As a run keeps it.
fn keep(sink: &LedgerSink, seq: u64, completion: &Completion) -> WriteOutcome {
    let written = completion.written.as_deref().cloned().unwrap_or_default();
    let outcome = completion.write_outcome().expect("it was tried");
    let entry = LedgerEntry {
        id: sink.scope("s").id(seq, 0),
        operation: OperationId(0),
        intended: completion.done,
        sent: completion.sent,
        done: completion.done,
        outcome,
        place: written.place,
        value: None,
    };
    assert!(sink.record(Record::Write(entry)));
    outcome
}

#[test]
fn edits_since_the_backup_are_lost_exactly() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, &EDITS.replace("timeout: 20s,", "timeout: 2s, ledger: true,"));
        let writer = LedgerWriter::begin(folder.path(), "r1", 0).unwrap();
        let sink = writer.sink();
        let mut sessions = Vec::new();
        for index in 0..6 {
            sessions.push(bench.session(index).await);
        }
        let mut backup = None;
        for seq in 0..60 {
            if seq == 36 {
                backup = Some(server.backup());
            }
            let session = usize::try_from(seq % 6).unwrap();
            let completion = bench.execute(&mut *sessions[session], seq).await;
            assert_eq!(keep(&sink, seq, &completion), WriteOutcome::Acknowledged);
        }
        server.set(Behaviour::LosesUpdates);
        let unknown = bench.execute(&mut *sessions[0], 60).await;
        assert_eq!(keep(&sink, 60, &unknown), WriteOutcome::Unknown);
        server.set(Behaviour::Faithful);
        for session in sessions {
            session.close().await;
        }
        assert_eq!(writer.finish().flaw(), None);
        let ledger = Ledger::open(folder.path()).unwrap();
        let place = ("s", OperationId(0));
        let check = async || {
            check_ledger(&*bench.workload, &ledger, place, None, folder.path(), Nanos::from_secs(10)).await.unwrap()
        };
        let whole = check().await;
        assert_eq!((whole.acknowledged, whole.lost_count(), whole.unknown), (60, 0, 1));
        server.restore(&backup.unwrap());
        let restored = check().await;
        let lost: BTreeSet<u64> = restored.lost.named.iter().map(|loss| loss.id.seq()).collect();
        assert_eq!(lost, (36..60).collect());
        assert_eq!((restored.unknown_writes.not_found, restored.unknown_writes.found), (1, 0));

        server.set(Behaviour::Silent);
        let silent = check_ledger(&*bench.workload, &ledger, place, None, folder.path(), Nanos::from_millis(200)).await;
        assert!(matches!(silent, Err(ReadBackError::Store(_))), "{silent:?}");
    });
}

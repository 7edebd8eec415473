//! Keys that are deleted, and keys with another value.

use std::collections::BTreeSet;

use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{Commands, TlsCertificates};
use slatest_core::model::WritePlace;

use crate::harness::{exactly, middle, play, some};
use crate::stack::stack;

const WORKLOAD: &str = r#"
name: w
driver: redis
endpoint: cache
operations:
  - name: write
    timeout: 10s
    request: { command: [SET, "ledger:{{ write_id }}", "{{ random.text(64) }}", EX, 600] }
    ledger: true
"#;

fn connect() -> ClusterConnection {
    drop(rustls::crypto::ring::default_provider().install_default());
    let ca = std::fs::read(stack().ca()).expect("the CA");
    let port = stack().port("redis", "REDIS_1_PORT");
    ClusterClient::builder([format!("rediss://127.0.0.1:{port}")])
        .password(stack().secret("redis"))
        .certs(TlsCertificates { client_tls: None, root_cert: Some(ca) })
        .build()
        .and_then(|client| client.get_connection())
        .expect("a connection to the cluster")
}

#[test]
fn deleted_keys_are_lost_and_changed_ones_are_told() {
    let played = play(WORKLOAD, "cache", &stack().endpoint("cache"));
    let writes = played.acknowledged();
    let whole = played.check(None);
    assert_eq!((whole.acknowledged, whole.lost_count(), whole.wrong_value), (writes.len() as u64, 0, 0));
    // Each shard of the stack has one replica; it was asked for everything, and nobody is behind for long.
    assert_eq!(whole.unasked, [0]);
    let caught_up = (0..50).any(|_| played.check(None).stale == [0]);
    assert!(caught_up, "{:?}", played.check(None).stale);
    let key = |write: &slatest_core::model::LedgerEntry| match &write.place {
        Some(WritePlace::Key(key)) => key.to_string(),
        other => panic!("no key: {other:?}"),
    };
    let keys: BTreeSet<_> = writes.iter().map(key).collect();
    assert_eq!(keys.len(), writes.len(), "each write has a key of its own");

    let mut connection = connect();
    let taken = some(&writes);
    for write in &taken {
        let _: () = connection.del(key(write)).expect("a deleted key");
    }
    let _: () = connection.set(key(&writes[1]), "another value").expect("a changed key");
    let _: () = connection.del(key(&writes[2])).expect("a deleted key");
    let fault = middle(&writes);
    let _: () = connection.del(key(&writes[2])).expect("a deleted key");
    let _: () = connection.set(key(&writes[2]), "another value").expect("a changed key");
    let check = played.check(Some(fault));
    exactly(&check, &taken, fault);
    assert_eq!(check.wrong_value, 2);
}

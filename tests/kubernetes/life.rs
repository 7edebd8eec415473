//! What is told of pods as they live and die, through watches that break.

use std::time::Duration;

use slatest_cluster::kubernetes::{News, NewsKind, RunningJob, Watch, start};

use super::asked::settings;
use super::cluster::{Answer, Cluster, Fate, SOON};
use super::pods;

async fn next(watch: &mut Watch) -> News {
    tokio::time::timeout(SOON, watch.next()).await.expect("news")
}

async fn started(cluster: &Cluster, agents: u32) -> (RunningJob, Watch) {
    let running = start(cluster.client(), &settings(agents)).await.unwrap();
    let watch = running.watch();
    (running, watch)
}

#[tokio::test]
async fn pods_that_come_stay_or_go_are_told_in_words() {
    let reason = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available";
    let cluster = Cluster::start(&[Fate::Runs, Fate::Runs, Fate::Runs, Fate::Runs, Fate::Unschedulable(reason)]);
    let (running, mut watch) = started(&cluster, 5).await;
    let mut first: Vec<String> = Vec::new();
    for _ in 0..5 {
        first.push(next(&mut watch).await.message);
    }
    first.sort();
    let expected: Vec<String> = (0..4).map(|i| format!("agent {i} runs on node-{i}")).collect();
    assert_eq!(first[..4], expected);
    assert_eq!(first[4], format!("agent 4 can't be placed on a node: {reason}"));

    // By their first names: one that is evicted gets a successor.
    let names: Vec<String> = (0..5).map(|index| cluster.pod(index).unwrap()).collect();
    let pod = |index: usize| names[index].clone();
    cluster.evict(&pod(0), "The node was low on resource: memory.");
    let evicted = next(&mut watch).await;
    assert_eq!((evicted.kind, evicted.agent), (NewsKind::Lost, Some(0)));
    assert_eq!(evicted.message, "agent 0 was evicted by node-0: The node was low on resource: memory.");
    assert_eq!(next(&mut watch).await.message, "agent 0 runs on node-0, in the place of one that is gone");
    cluster.becomes(&pod(1), None, pods::preempted("preempting to accommodate a higher priority pod"));
    assert!(next(&mut watch).await.message.starts_with("agent 1 was preempted: a pod of higher priority"));
    cluster.becomes(&pod(2), None, pods::out_of_memory());
    assert!(next(&mut watch).await.message.starts_with("agent 2 was killed: it used more memory than its limit"));
    cluster.becomes(&pod(3), None, pods::ended(3, "slatest: refused: the token has expired"));
    let failed = next(&mut watch).await.message;
    assert_eq!(failed, "agent 3 ended with exit code 3: slatest: refused: the token has expired");
    cluster.becomes(&pod(4), Some("node-9"), pods::waiting("ErrImagePull", "manifest unknown"));
    let image = next(&mut watch).await.message;
    assert_eq!(image, "agent 4 can't start, its image registry.example/slatest:1 can't be pulled: manifest unknown");
    cluster.becomes(&pod(4), None, pods::ended(0, ""));
    assert_eq!(next(&mut watch).await.kind, NewsKind::Ended);
    cluster.warn(running.name(), "FailedCreate", "pods is forbidden: violates PodSecurity \"restricted:latest\"");
    assert!(next(&mut watch).await.message.starts_with("pods can't be created: pods is forbidden"));
    drop(watch);
    running.delete().await.unwrap();
    cluster.assert_clean();
}

#[tokio::test]
async fn what_happened_while_nobody_watched_is_told_afterwards() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let (running, mut watch) = started(&cluster, 3).await;
    for _ in 0..3 {
        next(&mut watch).await;
    }
    // The server ends the watches, forgets what was before, and two pods go meanwhile.
    cluster.change(|state| {
        let name = |index: usize| format!("{}-{index}", "slatest-0198c0ffee");
        let mut pods = state.all("pods");
        pods.retain(|pod| !pod["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(&name(2))));
        let gone = pods[0]["metadata"]["name"].as_str().unwrap().to_owned();
        state.take("pods", &gone);
        let mut evicted = pods[1].clone();
        evicted["status"] = pods::evicted("The node was low on resource: memory.");
        state.put("pods", evicted);
        state.forgotten = state.version() + 1;
        state.generation += 1;
    });
    let mut told = vec![next(&mut watch).await, next(&mut watch).await];
    told.sort_by_key(|news| news.agent);
    assert!(told.iter().all(|news| news.kind == NewsKind::Lost), "{told:?}");
    assert_eq!(told[0].message, "agent 0 was deleted by somebody");
    assert!(told[1].message.starts_with("agent 1 was evicted by node-1"), "{told:?}");
    // And it goes on from there.
    cluster.becomes(&cluster.pod(2).unwrap(), None, pods::ended(1, ""));
    assert_eq!(next(&mut watch).await.message, "agent 2 ended with exit code 1");
    drop(watch);
    running.delete().await.unwrap();
    cluster.assert_clean();
}

#[tokio::test]
async fn a_cluster_that_stutters_is_said_to_once() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let running = start(cluster.client(), &settings(1)).await.unwrap();
    cluster.script("GET", "pods", Answer::Refuse(500, "etcdserver: leader changed"));
    cluster.script("GET", "pods", Answer::Refuse(500, "etcdserver: leader changed"));
    cluster.script("GET", "events", Answer::Refuse(403, "events is forbidden"));
    let mut watch = running.watch();
    let mut told = Vec::new();
    while told.last().is_none_or(|news: &News| news.kind != NewsKind::Started) {
        told.push(next(&mut watch).await);
    }
    told.pop();
    let mut message: Vec<&str> = told.iter().map(|news| news.message.as_str()).collect();
    message.sort_unstable();
    assert_eq!(message.len(), 2, "{message:?}");
    assert!(message[0].starts_with("events can't be read"), "{message:?}");
    assert!(message[1].starts_with("the pods can't be watched, trying again") && message[1].contains("leader changed"));
    drop(watch);
    running.delete().await.unwrap();
}

#[tokio::test]
async fn a_watch_that_is_dropped_while_it_waits_loses_nothing() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let (running, mut watch) = started(&cluster, 2).await;
    for _ in 0..2 {
        next(&mut watch).await;
    }
    for _ in 0..20 {
        // Polled once and let go, as a caller with other things to wait for does.
        let _ = tokio::time::timeout(Duration::ZERO, watch.next()).await;
    }
    // A server ends watches now and then: nothing is told of it, and nothing missed.
    cluster.break_watches();
    cluster.becomes(&cluster.pod(1).unwrap(), None, pods::ended(0, ""));
    assert_eq!(next(&mut watch).await.message, "agent 1 has ended");
    drop(watch);
    running.delete().await.unwrap();
    cluster.assert_clean();
}

use serde_json::{Value, json};

use super::*;

fn pod(name: &str, index: u32, node: Option<&str>, status: Value) -> Pod {
    let pod = json!({
        "metadata": { "name": name, "annotations": { INDEX: index.to_string() } },
        "spec": { "nodeName": node, "containers": [{
            "name": "slatest",
            "image": "registry.example/slatest:1",
            "resources": { "limits": { "memory": "512Mi" } },
        }] },
        "status": status,
    });
    serde_json::from_value(pod).unwrap()
}

fn unschedulable(reason: &str) -> Value {
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": reason });
    json!({ "phase": "Pending", "conditions": [condition] })
}

fn waiting(reason: &str, message: &str) -> Value {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    json!({ "phase": "Pending", "containerStatuses": [status(&state)] })
}

fn terminated(state: Value) -> Value {
    json!({ "phase": "Failed", "containerStatuses": [status(&json!({ "terminated": state }))] })
}

fn status(state: &Value) -> Value {
    json!({ "name": "slatest", "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": "" })
}

fn disrupted(reason: &str, message: &str) -> Value {
    let condition = json!({ "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message });
    json!({ "phase": "Failed", "conditions": [condition] })
}

#[test]
fn every_fate_has_its_words() {
    let node = Some("node-1");
    let fates = [
        (None, unschedulable("0/3 nodes are available: 3 Insufficient cpu.")),
        (node, waiting("ContainerCreating", "")),
        (node, waiting("ErrImagePull", "manifest unknown")),
        (node, waiting("CreateContainerConfigError", "secret \"kafka\" not found")),
        (node, json!({ "phase": "Running" })),
        (node, json!({ "phase": "Succeeded" })),
        (node, json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." })),
        (
            node,
            disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
        ),
        (node, disrupted("EvictionByEvictionAPI", "Eviction API: evicting")),
        (node, disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")),
        (node, disrupted("DeletionByPodGC", "PodGC: node no longer exists")),
        (node, terminated(json!({ "exitCode": 137, "reason": "OOMKilled" }))),
        (node, terminated(json!({ "exitCode": 3, "reason": "Error", "message": "slatest: the token has expired\n" }))),
        (node, terminated(json!({ "exitCode": 139, "signal": 11 }))),
        (node, json!({ "phase": "Failed", "reason": "DeadlineExceeded" })),
    ];
    let mut lines = String::new();
    for (node, status) in fates {
        let news = Roster::default().seen(&pod("run-3-abcde", 3, node, status)).unwrap();
        assert_eq!(news.agent, Some(3));
        lines.push_str(&format!("{:?}: {}\n", news.kind, news.message));
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn nothing_is_told_twice_and_an_end_is_an_end() {
    let mut roster = Roster::default();
    let mut told = |status: Value| roster.seen(&pod("run-0-aaaaa", 0, Some("node-1"), status)).map(|n| n.kind);
    assert_eq!(told(waiting("ContainerCreating", "")), Some(NewsKind::Placed));
    assert_eq!(told(waiting("PodInitializing", "")), None);
    assert_eq!(told(json!({ "phase": "Running" })), Some(NewsKind::Started));
    assert_eq!(told(json!({ "phase": "Running" })), None);
    assert_eq!(told(waiting("ContainerCreating", "")), None, "an older state after a break");
    assert_eq!(told(json!({ "phase": "Failed", "reason": "Evicted" })), Some(NewsKind::Lost));
    assert_eq!(told(terminated(json!({ "exitCode": 143 }))), None);
    assert_eq!(roster.gone(&pod("run-0-aaaaa", 0, None, json!({}))), None);
    // Its replacement is said to be one.
    let again = roster.seen(&pod("run-0-bbbbb", 0, Some("node-2"), json!({ "phase": "Running" }))).unwrap();
    assert_eq!(again.message, "agent 0 runs on node-2, in the place of one that is gone");
    // Deleted while it ran.
    let gone = roster.gone(&pod("run-0-bbbbb", 0, None, json!({ "phase": "Running" }))).unwrap();
    assert_eq!((gone.kind, gone.message.as_str()), (NewsKind::Lost, "agent 0 was deleted by somebody"));
}

#[test]
fn a_reason_that_many_share_is_told_whole_once_and_one_that_changes_not_for_ever() {
    let mut roster = Roster::default();
    let mut told = |name: &str, index, reason: &str| roster.seen(&pod(name, index, None, unschedulable(reason)));
    let reason = "0/3 nodes are available: 3 Insufficient cpu.";
    assert!(told("run-0-a", 0, reason).unwrap().message.ends_with(reason));
    let second = told("run-1-b", 1, reason).unwrap();
    assert_eq!(second.message, "agent 1 can't be placed on a node either, for the same reason");
    let changes = (0..50).filter_map(|i| told("run-0-a", 0, &format!("{i} nodes"))).count();
    assert_eq!(changes as u32, WAITS_TOLD_MAX - 1);
}

#[test]
fn warnings_are_those_of_the_job_and_its_pods_that_no_status_tells() {
    let mut roster = Roster::default();
    let mut told = |object: &str, reason: &str, message: &str| {
        let event = json!({
            "metadata": {}, "involvedObject": { "name": object }, "reason": reason, "message": message
        });
        roster.warned(&serde_json::from_value(event).unwrap(), "run").map(|news| news.message)
    };
    let quota = "pods \"run-0-x\" is forbidden: exceeded quota: load";
    assert_eq!(told("run", "FailedCreate", quota), Some(format!("pods can't be created: {quota}")));
    assert_eq!(told("run", "FailedCreate", quota), None, "again");
    assert_eq!(told("runner", "FailedCreate", "another's"), None);
    assert_eq!(told("run-2-abcde", "FailedScheduling", "its status tells"), None);
    let mount = told("run-2-abcde", "FailedMount", "secret \"amqp\"\u{1b}[2J not found").unwrap();
    assert_eq!(mount, "agent 2 can't start: secret \"amqp\"\\u{1b}[2J not found");
}

#[test]
fn what_a_cluster_says_is_cut_and_obeyed_by_no_terminal() {
    let long = "x".repeat(10_000);
    let news = Roster::default().seen(&pod("run-0-a", 0, None, unschedulable(&long))).unwrap();
    assert!(news.message.chars().count() <= WORDS_MAX + 1 && news.message.ends_with('…'));
    assert_eq!(News::trouble("a\nb\u{7}").message, "a b\\u{7}");
    assert_eq!(Roster::default().seen(&Pod::default()), None);
}

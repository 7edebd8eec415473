//! Against a stand-in of the program, which remembers what it was called with and answers from files; and,
//! when asked for, through the real program against moto's server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use super::super::registry::tests::context;
use super::super::{Soundness, compile};
use super::*;

/// Answers with the file of the operation's name, or fails with its `.error`.
const STAND_IN: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$AWS_MAX_ATTEMPTS $*" >> "$here/called"
[ -e "$here/$2.error" ] && { cat "$here/$2.error" >&2; exit 254; }
cat "$here/$2"
"#;

struct StandIn(tempfile::TempDir);

impl StandIn {
    fn new(answers: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("aws");
        std::fs::write(&program, STAND_IN).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let stand_in = Self(folder);
        for (operation, answer) in answers {
            stand_in.answer(operation, answer);
        }
        stand_in
    }

    fn answer(&self, operation: &str, answer: &str) {
        std::fs::write(self.0.path().join(operation), answer).unwrap();
    }

    fn fault(&self, action: &str) -> Arc<dyn Fault> {
        let url = "endpoint_url: 'http://127.0.0.1:9'";
        let yaml = format!("aws: {{ region: us-east-1, program: ./aws, {url}, {action} }}");
        compile(&serde_saphyr::from_str(&yaml).unwrap(), &context(self.0.path())).ok().unwrap()
    }

    /// What it was called with, up to what every call has.
    fn called(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path().join("called")).unwrap_or_default();
        text.lines().map(|line| line.split(" --region=us-east-1").next().unwrap().to_owned()).collect()
    }
}

const WELL: &str = r#"{"status": "available", "standby": true}"#;

#[tokio::test]
async fn each_action_is_the_call_that_it_says() {
    for (action, looked, broke) in [
        (
            "rds_reboot: { instance: db-1 }",
            "describe-db-instances --db-instance-identifier=db-1",
            "rds reboot-db-instance --db-instance-identifier=db-1 --force-failover",
        ),
        (
            "rds_reboot: { instance: db-1, failover: false }",
            "describe-db-instances --db-instance-identifier=db-1",
            "rds reboot-db-instance --db-instance-identifier=db-1 --no-force-failover",
        ),
        (
            "failover_cluster: { cluster: c-1, to: db-2 }",
            "describe-db-clusters --db-cluster-identifier=c-1",
            "rds failover-db-cluster --db-cluster-identifier=c-1 --target-db-instance-identifier=db-2",
        ),
        (
            "test_failover: { replication_group: g-1, node_group: '0001' }",
            "describe-replication-groups --replication-group-id=g-1",
            "elasticache test-failover --replication-group-id=g-1 --node-group-id=0001",
        ),
        (
            "msk_reboot: { cluster_arn: 'arn:aws:kafka:us-east-1:1:cluster/k/1', brokers: ['1', '2'] }",
            "describe-cluster --cluster-arn=arn:aws:kafka:us-east-1:1:cluster/k/1",
            "kafka reboot-broker --cluster-arn=arn:aws:kafka:us-east-1:1:cluster/k/1 --broker-ids 1 2",
        ),
    ] {
        let operation = broke.split(' ').nth(1).unwrap();
        let look = looked.split(' ').next().unwrap();
        let stand_in = StandIn::new(&[(look, WELL), (operation, "\"rebooting\"\n")]);
        let fault = stand_in.fault(action);
        let undo = fault.plan().await.unwrap();
        let injected = fault.inject(&undo).await.unwrap();
        assert_eq!(injected.detail, format!("{operation}: rebooting"));
        let called = stand_in.called();
        assert!(called[0].ends_with(looked), "{called:?}");
        assert_eq!(called[1], format!("1 {broke}"));
        stand_in.answer(look, r#"{"status": "rebooting", "standby": true}"#);
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
        assert!(matches!(fault.plan().await.unwrap_err(), FaultError::Refused(_)));
        fault.heal(&undo).await.unwrap();
        assert_eq!(stand_in.called().len(), 4, "there is nothing to mend, so nothing is called");
    }
}

#[tokio::test]
async fn what_has_nothing_to_fail_over_to_is_left_alone() {
    for (action, look) in [
        ("rds_reboot: { instance: a }", "describe-db-instances"),
        ("failover_cluster: { cluster: a }", "describe-db-clusters"),
        ("test_failover: { replication_group: a, node_group: '1' }", "describe-replication-groups"),
    ] {
        let stand_in = StandIn::new(&[(look, r#"{"status": "available", "standby": false}"#)]);
        let refused = stand_in.fault(action).plan().await.unwrap_err();
        assert!(matches!(refused, FaultError::Refused(_)), "{refused}");
        stand_in.answer(look, "null\n");
        let none = stand_in.fault(action).plan().await.unwrap_err().to_string();
        assert!(none.contains("finds nothing of that name"), "{none}");
    }
}

#[tokio::test]
async fn an_experiment_is_found_by_its_tag_and_stopped() {
    let stand_in = StandIn::new(&[
        ("get-experiment-template", WELL),
        ("start-experiment", "\"EXP1\""),
        ("list-experiments", r#"[{"id": "EXP1", "status": "running", "started": 1795255205.25}]"#),
        ("stop-experiment", "\"stopping\""),
    ]);
    let fault = stand_in.fault("fis_experiment: { template: EXT1 }");
    let undo = fault.plan().await.unwrap();
    let injected = fault.inject(&undo).await.unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    let reported = fault.reported(&undo, &injected).await.unwrap().unwrap();
    assert_eq!(reported.wall.to_string(), "2026-11-21T10:00:05.25Z");
    assert_eq!(fault.heal(&undo).await.unwrap(), "stopped the experiment EXP1");
    let called = stand_in.called();
    let token = undo.read::<Known>().unwrap().token.unwrap();
    let start = "1 fis start-experiment --experiment-template-id=EXT1";
    assert_eq!(called[1], format!("{start} --client-token={token} --tags=slatest-drill={token}"));
    let listed = std::fs::read_to_string(stand_in.0.path().join("called")).unwrap();
    assert!(listed.contains(&format!("[?tags.\"slatest-drill\" == '{token}']")), "{listed}");
    assert_eq!(called.last().unwrap(), "1 fis stop-experiment --id=EXP1");
    // One that has ended, or was never started, is not stopped.
    stand_in.answer("list-experiments", r#"[{"id": "EXP1", "status": "completed"}]"#);
    assert_eq!(fault.heal(&undo).await.unwrap(), "the experiment EXP1 had ended");
    stand_in.answer("list-experiments", "[]");
    assert_eq!(fault.heal(&undo).await.unwrap(), "no experiment was started");
    assert_eq!(stand_in.called().iter().filter(|call| call.contains("stop-experiment")).count(), 1);
}

#[tokio::test]
async fn what_aws_says_of_when_it_happened_is_the_first_event_about_it() {
    let stand_in = StandIn::new(&[("describe-db-instances", WELL), ("reboot-db-instance", "\"rebooting\"")]);
    let fault = stand_in.fault("rds_reboot: { instance: db-1 }");
    let undo = fault.plan().await.unwrap();
    let injected = fault.inject(&undo).await.unwrap();
    let at = |secs: i64| jiff::Timestamp::from_second(injected.issued.wall.as_second() + secs).unwrap();
    let events = serde_json::json!([
        { "at": at(-60).to_string(), "said": "Multi-AZ instance failover started." },
        { "at": at(1).to_string(), "said": "Backing up DB instance" },
        { "at": at(40).to_string(), "said": "DB instance restarted" },
        { "at": at(9).to_string(), "said": "Multi-AZ instance failover started." },
    ]);
    stand_in.answer("describe-events", &events.to_string());
    let reported = fault.reported(&undo, &injected).await.unwrap().unwrap();
    assert_eq!((reported.wall, reported.detail.as_str()), (at(9), "Multi-AZ instance failover started."));
    stand_in.answer("describe-events", "[]");
    assert_eq!(fault.reported(&undo, &injected).await.unwrap(), None);
}

#[tokio::test]
async fn a_refusal_of_aws_is_told_in_its_words() {
    let denied = "An error occurred (AccessDenied) when calling the RebootDBInstance operation: not authorized";
    let stand_in = StandIn::new(&[("describe-db-instances", WELL), ("reboot-db-instance.error", denied)]);
    let fault = stand_in.fault("rds_reboot: { instance: db-1 }");
    let undo = fault.plan().await.unwrap();
    let error = fault.inject(&undo).await.unwrap_err().to_string();
    assert!(error.contains("aws rds reboot-db-instance") && error.contains("AccessDenied"), "{error}");
}

/// `tests/aws-stand-in run cargo test --lib -- --ignored the_real_program` brings up what it needs.
#[tokio::test]
#[ignore = "needs moto's server and the aws program: tests/aws-stand-in brings them up"]
async fn the_real_program_and_a_stand_in_of_the_api_agree_with_the_calls() {
    let url = std::env::var("SLATEST_MOTO").expect("SLATEST_MOTO says where moto's server listens");
    let name = format!("slatest-{}", std::process::id());
    let aws = async |words: String, more: &[&str]| {
        let mut command = tokio::process::Command::new("aws");
        command.args(words.split(' ')).args(more).args(["--region=us-east-1", "--output=text"]);
        let end = command.arg(format!("--endpoint-url={url}")).output().await.unwrap();
        assert!(end.status.success(), "{words}: {}", String::from_utf8_lossy(&end.stderr));
        String::from_utf8(end.stdout).unwrap().trim().to_owned()
    };
    let fault = |action: &str| {
        let yaml = format!("aws: {{ region: us-east-1, endpoint_url: '{url}', {action} }}");
        compile(&serde_saphyr::from_str(&yaml).unwrap(), &context(Path::new("/tmp"))).ok().unwrap()
    };
    let who = "--master-username=u --master-user-password=password1";
    let class = "--db-instance-class=db.t3.micro --query DBInstance.DBInstanceStatus";
    let create = format!("rds create-db-instance --db-instance-identifier={name}");
    aws(format!("{create} --engine=postgres {who} --allocated-storage=20 --multi-az {class}"), &[]).await;
    aws(format!("rds create-db-cluster --db-cluster-identifier={name} --engine=aurora-postgresql {who}"), &[]).await;
    let failover = fault(&format!("failover_cluster: {{ cluster: {name} }}"));
    assert!(matches!(failover.plan().await.unwrap_err(), FaultError::Refused(_)), "it has no instance yet");
    for i in [1, 2] {
        let engine = format!("--engine=aurora-postgresql --db-cluster-identifier={name}");
        aws(format!("{create}-{i} {engine} {class}"), &[]).await;
    }
    let reboot = fault(&format!("rds_reboot: {{ instance: {name} }}"));
    for (fault, did) in [(&reboot, "reboot-db-instance: "), (&failover, "failover-db-cluster: ")] {
        let undo = fault.plan().await.unwrap();
        let injected = fault.inject(&undo).await.unwrap();
        assert!(injected.detail.starts_with(did), "{injected:?}");
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
        fault.reported(&undo, &injected).await.unwrap();
    }
    let none = fault("rds_reboot: { instance: no-such-instance }").plan().await.unwrap_err().to_string();
    assert!(none.contains("NotFound"), "{none}");

    let actions = r#"{"wait":{"actionId":"aws:fis:wait","parameters":{"duration":"PT1M"}}}"#;
    let role = "--role-arn=arn:aws:iam::123456789012:role/r --query experimentTemplate.id";
    let template = format!("fis create-experiment-template --client-token={name} --description=x {role}");
    let more = [r#"--stop-conditions=[{"source":"none"}]"#, "--targets={}", &format!("--actions={actions}")];
    let template = aws(template, &more).await;
    let experiment = fault(&format!("fis_experiment: {{ template: {template} }}"));
    let undo = experiment.plan().await.unwrap();
    assert_eq!(experiment.heal(&undo).await.unwrap(), "no experiment was started");
    let injected = experiment.inject(&undo).await.unwrap();
    assert_eq!(experiment.probe(&undo).await.unwrap().state, Soundness::Broken);
    let reported = experiment.reported(&undo, &injected).await.unwrap().expect("when it was started");
    let apart = reported.wall.as_second() - injected.issued.wall.as_second();
    assert!((-1..60).contains(&apart), "{reported:?} of {injected:?}");
    assert!(experiment.heal(&undo).await.unwrap().starts_with("stopped the experiment"));
    // The stand-in leaves it at that.
    assert!(experiment.heal(&undo).await.unwrap().ends_with("is being stopped"));
}

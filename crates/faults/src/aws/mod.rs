//! Has AWS fail its own services over, through the `aws` program.
//!
//! Why the program and not the SDK: what is needed is about a dozen calls, a few of them in a run. The SDK's
//! crates for four services are a hundred more crates, minutes of building and a second TLS stack for that;
//! the program is what the people who run these platforms have, with their single sign-on, assumed roles,
//! process credentials and private endpoints set up, and the words of its errors are those that they know.
//! What it costs is about a second of start before the call goes out, so the instant of the fault is known no
//! better than between `issued` and `acknowledged`; what AWS itself says of when it happened is asked for
//! afterwards, and no finer than its events.
//!
//! No call that breaks something is repeated by the program (`AWS_MAX_ATTEMPTS=1`): a second failover would
//! be another drill.

mod calls;
mod settings;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use settings::{AwsAction, AwsSpec};

use super::registry::FaultContext;
use super::{Fault, FaultError, Injected, Probe, Reported, Stopwatch, Undo};
use calls::{Aws, Happened};

/// Tag of experiments, by which they are found again.
const TAG: &str = "slatest-drill";

/// Has AWS break one thing.
pub(super) struct AwsFault {
    spec: AwsSpec,
    aws: Aws,
    stopwatch: Stopwatch,
}

/// What healing needs to know.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// Names the experiment that this drill starts, before it has an identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// What a look at a database or cache says.
#[derive(Debug, Deserialize)]
struct State {
    status: Option<String>,
    #[serde(default)]
    standby: Option<serde_json::Value>,
}

/// An experiment.
#[derive(Debug, Deserialize)]
struct Experiment {
    id: String,
    status: Option<String>,
    #[serde(default)]
    started: Option<serde_json::Value>,
}

impl Experiment {
    /// Whether it can have an effect.
    fn runs(&self) -> bool {
        self.goes_on() || self.status.as_deref() == Some("stopping")
    }

    /// Whether it runs and nobody has stopped it.
    fn goes_on(&self) -> bool {
        matches!(self.status.as_deref(), Some("pending" | "initiating" | "running"))
    }
}

impl AwsFault {
    pub fn new(spec: &AwsSpec, context: &FaultContext) -> Self {
        Self { spec: spec.clone(), aws: Aws::new(spec, &context.folder), stopwatch: context.stopwatch.clone() }
    }

    fn action(&self) -> Result<AwsAction<'_>, FaultError> {
        self.spec.action().map_err(FaultError::Refused)
    }

    /// Looks at what is to be broken.
    async fn state(&self) -> Result<State, FaultError> {
        let (service, operation, option, name, query) = match self.action()? {
            AwsAction::RdsReboot(a) => (
                "rds",
                "describe-db-instances",
                "db-instance-identifier",
                &a.instance,
                "DBInstances[0].{status: DBInstanceStatus, standby: MultiAZ}",
            ),
            AwsAction::FailoverCluster(a) => (
                "rds",
                "describe-db-clusters",
                "db-cluster-identifier",
                &a.cluster,
                "DBClusters[0].{status: Status, standby: length(DBClusterMembers || `[]`) > `1`}",
            ),
            AwsAction::TestFailover(a) => (
                "elasticache",
                "describe-replication-groups",
                "replication-group-id",
                &a.replication_group,
                "ReplicationGroups[0].{status: Status, standby: AutomaticFailover == 'enabled'}",
            ),
            AwsAction::MskReboot(a) => (
                "kafka",
                "describe-cluster",
                "cluster-arn",
                &a.cluster_arn,
                "ClusterInfo.{status: State, standby: `true`}",
            ),
            AwsAction::Fis(a) => (
                "fis",
                "get-experiment-template",
                "id",
                &a.template,
                "experimentTemplate.{status: 'available', standby: `true`, id: id}",
            ),
        };
        self.aws.ask(service, operation, &[(option, name)], query).await
    }

    /// Whether what is looked at works.
    fn is_well(state: &State) -> bool {
        state.status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("available") || status == "ACTIVE")
    }

    async fn look(&self) -> Result<Known, FaultError> {
        let state = self.state().await?;
        let status = state.status.as_deref().unwrap_or("unknown");
        if !Self::is_well(&state) {
            return Err(FaultError::Refused(format!("its status is `{status}`: it is not well to begin with")));
        }
        let standby = state.standby == Some(serde_json::Value::Bool(true));
        let reason = match self.action()? {
            AwsAction::RdsReboot(a) if a.failover && !standby => {
                "the instance is not Multi-AZ, so it has no standby to fail over to; write `failover: false` for a plain reboot"
            }
            AwsAction::FailoverCluster(_) if !standby => "the cluster has one instance: there is none to fail over to",
            AwsAction::TestFailover(_) if !standby => "automatic failover is not enabled for the replication group",
            AwsAction::Fis(_) => return Ok(Known { token: Some(uuid::Uuid::new_v4().to_string()) }),
            _ => return Ok(Known::default()),
        };
        Err(FaultError::Refused(reason.into()))
    }

    async fn break_it(&self, known: &Known) -> Result<String, FaultError> {
        match self.action()? {
            AwsAction::RdsReboot(a) => {
                let flag = if a.failover { "--force-failover" } else { "--no-force-failover" };
                let options = [("db-instance-identifier", a.instance.as_str())];
                self.aws.act("rds", "reboot-db-instance", &options, &[flag], "DBInstance.DBInstanceStatus").await
            }
            AwsAction::FailoverCluster(a) => {
                let mut options = vec![("db-cluster-identifier", a.cluster.as_str())];
                options.extend(a.to.as_deref().map(|to| ("target-db-instance-identifier", to)));
                self.aws.act("rds", "failover-db-cluster", &options, &[], "DBCluster.Status").await
            }
            AwsAction::TestFailover(a) => {
                let options =
                    [("replication-group-id", a.replication_group.as_str()), ("node-group-id", &a.node_group)];
                self.aws.act("elasticache", "test-failover", &options, &[], "ReplicationGroup.Status").await
            }
            AwsAction::MskReboot(a) => {
                let brokers: Vec<&str> =
                    std::iter::once("--broker-ids").chain(a.brokers.iter().map(String::as_str)).collect();
                let options = [("cluster-arn", a.cluster_arn.as_str())];
                self.aws.act("kafka", "reboot-broker", &options, &brokers, "ClusterOperationArn").await
            }
            AwsAction::Fis(a) => {
                let token = known.token.as_deref().ok_or_else(|| FaultError::Undo("it names no experiment".into()))?;
                let tags = format!("{TAG}={token}");
                let options =
                    [("experiment-template-id", a.template.as_str()), ("client-token", token), ("tags", &tags)];
                self.aws.act("fis", "start-experiment", &options, &[], "experiment.id").await
            }
        }
    }

    /// The experiments that this drill started: one, or none.
    async fn experiments(&self, known: &Known) -> Result<Vec<Experiment>, FaultError> {
        let token = known.token.as_deref().ok_or_else(|| FaultError::Undo("it names no experiment".into()))?;
        let query = format!(
            "experiments[?tags.\"{TAG}\" == '{token}'].{{id: id, status: state.status, started: creationTime}}"
        );
        self.aws.ask("fis", "list-experiments", &[], &query).await
    }

    async fn mend(&self, known: &Known) -> Result<String, FaultError> {
        let AwsAction::Fis(_) = self.action()? else {
            return Ok("nothing: AWS mends what it fails over".into());
        };
        let all = self.experiments(known).await?;
        for experiment in all.iter().filter(|experiment| experiment.goes_on()) {
            let options = [("id", experiment.id.as_str())];
            let stopped = self.aws.act("fis", "stop-experiment", &options, &[], "experiment.state.status").await;
            // It may have ended while it was looked at.
            if let Err(error) = stopped
                && self.experiments(known).await?.iter().any(Experiment::goes_on)
            {
                return Err(error);
            }
        }
        Ok(match all.first() {
            Some(experiment) if experiment.goes_on() => format!("stopped the experiment {}", experiment.id),
            Some(experiment) if experiment.runs() => format!("the experiment {} is being stopped", experiment.id),
            Some(experiment) => format!("the experiment {} had ended", experiment.id),
            None => "no experiment was started".into(),
        })
    }

    /// What AWS says happened since it was asked for.
    async fn happened(&self, known: &Known, injected: &Injected) -> Result<Option<Happened>, FaultError> {
        // Its clock may be behind ours, and its events are by the second.
        let since = injected.issued.wall.as_second().saturating_sub(5);
        let since = jiff::Timestamp::from_second(since).unwrap_or(injected.issued.wall).to_string();
        let (service, name, kind) = match self.action()? {
            AwsAction::RdsReboot(a) => ("rds", a.instance.as_str(), "db-instance"),
            AwsAction::FailoverCluster(a) => ("rds", a.cluster.as_str(), "db-cluster"),
            AwsAction::TestFailover(a) => ("elasticache", a.replication_group.as_str(), "replication-group"),
            AwsAction::MskReboot(a) => {
                let query =
                    "ClusterOperationInfoList[?OperationType == 'REBOOT_NODE'].{at: CreationTime, said: OperationType}";
                let options = [("cluster-arn", a.cluster_arn.as_str())];
                let all: Vec<Happened> = self.aws.ask("kafka", "list-cluster-operations", &options, query).await?;
                return Ok(calls::first_after(all, injected.issued.wall));
            }
            AwsAction::Fis(_) => {
                let started = self.experiments(known).await?.into_iter().find_map(|e| {
                    Some(Happened { at: e.started?, said: format!("the experiment {} was started", e.id) })
                });
                return Ok(started);
            }
        };
        let options = [("source-identifier", name), ("source-type", kind), ("start-time", &since)];
        let words = ["failover", "restart", "reboot", "shutdown"];
        let all: Vec<Happened> =
            self.aws.ask(service, "describe-events", &options, "Events[].{at: Date, said: Message}").await?;
        let about = |event: &Happened| words.iter().any(|word| event.said.to_ascii_lowercase().contains(word));
        Ok(calls::first_after(all.into_iter().filter(about).collect(), injected.issued.wall))
    }
}

impl Fault for AwsFault {
    fn describe(&self) -> String {
        let region = &self.spec.region;
        match self.action() {
            Ok(AwsAction::RdsReboot(a)) => {
                let how = if a.failover { "with failover" } else { "without failover" };
                format!("reboots the RDS instance {} in {region} {how}", a.instance)
            }
            Ok(AwsAction::FailoverCluster(a)) => format!("fails the RDS cluster {} in {region} over", a.cluster),
            Ok(AwsAction::TestFailover(a)) => format!(
                "fails the node group {} of the ElastiCache replication group {} in {region} over",
                a.node_group, a.replication_group
            ),
            Ok(AwsAction::MskReboot(a)) => {
                format!("reboots the brokers {} of the MSK cluster {}", a.brokers.join(", "), a.cluster_arn)
            }
            Ok(AwsAction::Fis(a)) => format!("starts a FIS experiment from the template {} in {region}", a.template),
            Err(error) => error.to_string(),
        }
    }

    fn remedy(&self) -> Option<String> {
        matches!(self.action(), Ok(AwsAction::Fis(_))).then(|| "stops the experiment".into())
    }

    fn rights(&self) -> String {
        match self.action() {
            Ok(AwsAction::RdsReboot(_)) => "rds:DescribeDBInstances, rds:RebootDBInstance, rds:DescribeEvents",
            Ok(AwsAction::FailoverCluster(_)) => "rds:DescribeDBClusters, rds:FailoverDBCluster, rds:DescribeEvents",
            Ok(AwsAction::TestFailover(_)) => {
                "elasticache:DescribeReplicationGroups, elasticache:TestFailover, elasticache:DescribeEvents"
            }
            Ok(AwsAction::MskReboot(_)) => "kafka:DescribeCluster, kafka:RebootBroker, kafka:ListClusterOperations",
            Ok(AwsAction::Fis(_)) => {
                "fis:GetExperimentTemplate, fis:StartExperiment, fis:TagResource, fis:ListExperiments, fis:StopExperiment"
            }
            Err(_) => "none",
        }
        .into()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        Box::pin(async { Undo::of(&self.look().await?) })
    }

    fn inject<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let known: Known = undo.read()?;
            let issued = self.stopwatch.now();
            let detail = self.break_it(&known).await?;
            Ok(Injected { issued, acknowledged: self.stopwatch.now(), reported: None, detail })
        })
    }

    fn probe<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(async {
            if matches!(self.action()?, AwsAction::Fis(_)) {
                let all = self.experiments(&undo.read()?).await?;
                let running = all.iter().find(|experiment| experiment.runs());
                return Ok(match running {
                    Some(experiment) => Probe::found(false, format!("the experiment {} runs", experiment.id)),
                    None => Probe::found(true, "no experiment of this drill runs"),
                });
            }
            let state = self.state().await?;
            let status = state.status.as_deref().unwrap_or("unknown");
            Ok(Probe::found(Self::is_well(&state), format!("its status is `{status}`")))
        })
    }

    fn heal<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async { self.mend(&undo.read()?).await })
    }

    fn reported<'a>(
        &'a self,
        undo: &'a Undo,
        injected: &'a Injected,
    ) -> BoxFuture<'a, Result<Option<Reported>, FaultError>> {
        Box::pin(async {
            let happened = self.happened(&undo.read()?, injected).await?;
            Ok(happened.and_then(|event| Some(Reported::new(event.when()?, injected.issued, event.said))))
        })
    }
}

#[cfg(test)]
mod tests;

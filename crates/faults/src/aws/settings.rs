//! A fault that AWS makes of its own services.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::AwsFault;
use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::model::Span;
use slatest_core::target::Guard;

/// Has AWS break one thing. Exactly one of the actions is written. Credentials are found as the `aws` program
/// finds them: environment, profile, single sign-on, role of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSpec {
    /// Region: `us-east-1`. The host of its service's API must be allowed: `rds.us-east-1.amazonaws.com`.
    pub region: String,
    /// Profile of the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Another address of the API: a private endpoint, or a stand-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// The program that calls AWS. Default `aws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Longest that one call may take. Default 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// RDS: reboots an instance with failover to its standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rds_reboot: Option<RdsReboot>,
    /// RDS, Aurora: fails a cluster over to another of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_cluster: Option<ClusterFailover>,
    /// ElastiCache: fails a node group of a replication group over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_failover: Option<TestFailover>,
    /// MSK: reboots brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msk_reboot: Option<MskReboot>,
    /// Fault Injection Service: starts an experiment from a template; healing stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fis_experiment: Option<FisExperiment>,
}

/// `rds reboot-db-instance`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RdsReboot {
    /// Identifier of the instance.
    pub instance: String,
    /// Whether it fails over; needs a Multi-AZ instance. Default yes.
    #[serde(default = "yes")]
    pub failover: bool,
}

/// `rds failover-db-cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFailover {
    /// Identifier of the cluster.
    pub cluster: String,
    /// Instance that becomes the writer; one that AWS chooses when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// `elasticache test-failover`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestFailover {
    /// Identifier of the replication group.
    pub replication_group: String,
    /// Its node group: `0001`.
    pub node_group: String,
}

/// `kafka reboot-broker`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MskReboot {
    /// ARN of the cluster.
    pub cluster_arn: String,
    /// Numbers of the brokers.
    pub brokers: Vec<String>,
}

/// `fis start-experiment`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FisExperiment {
    /// Identifier of the experiment template.
    pub template: String,
}

/// The one action that is written.
#[derive(Clone, Copy, Debug)]
pub enum AwsAction<'a> {
    /// Reboots an instance.
    RdsReboot(&'a RdsReboot),
    /// Fails a cluster over.
    FailoverCluster(&'a ClusterFailover),
    /// Fails a node group over.
    TestFailover(&'a TestFailover),
    /// Reboots brokers.
    MskReboot(&'a MskReboot),
    /// Starts an experiment.
    Fis(&'a FisExperiment),
}

impl AwsAction<'_> {
    /// Its key in the file.
    pub const fn key(self) -> &'static str {
        match self {
            Self::RdsReboot(_) => "rds_reboot",
            Self::FailoverCluster(_) => "failover_cluster",
            Self::TestFailover(_) => "test_failover",
            Self::MskReboot(_) => "msk_reboot",
            Self::Fis(_) => "fis_experiment",
        }
    }

    /// The service that it is asked of, as its API's host begins.
    pub const fn service(self) -> &'static str {
        match self {
            Self::RdsReboot(_) | Self::FailoverCluster(_) => "rds",
            Self::TestFailover(_) => "elasticache",
            Self::MskReboot(_) => "kafka",
            Self::Fis(_) => "fis",
        }
    }
}

const fn yes() -> bool {
    true
}

impl AwsSpec {
    /// The action that is written.
    ///
    /// # Errors
    /// In words, when none or several are.
    pub fn action(&self) -> Result<AwsAction<'_>, String> {
        let all = [
            self.rds_reboot.as_ref().map(AwsAction::RdsReboot),
            self.failover_cluster.as_ref().map(AwsAction::FailoverCluster),
            self.test_failover.as_ref().map(AwsAction::TestFailover),
            self.msk_reboot.as_ref().map(AwsAction::MskReboot),
            self.fis_experiment.as_ref().map(AwsAction::Fis),
        ];
        let mut written = all.into_iter().flatten();
        match (written.next(), written.next()) {
            (Some(action), None) => Ok(action),
            (None, _) => Err(
                "says nothing to do: write rds_reboot, failover_cluster, test_failover, msk_reboot or fis_experiment"
                    .into(),
            ),
            (Some(_), Some(_)) => Err("one fault breaks one thing: write two faults, and a drill for each".into()),
        }
    }
}

impl FaultSection for AwsSpec {
    fn programs(&self) -> Vec<&str> {
        self.program.as_deref().into_iter().collect()
    }

    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(AwsFault::new(self, context)))
    }

    fn mistakes(&self, _: &Path, guard: &Guard, found: &mut Vec<Mistake>) {
        let region = self.region.as_str();
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            found.push(("region".into(), format!("`{region}` is no region: write it like us-east-1")));
        }
        let action = match self.action() {
            Ok(action) => action,
            Err(why) => return found.push((String::new(), why)),
        };
        match &self.endpoint_url {
            None => {
                let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                let host = format!("{}.{region}.{suffix}", action.service());
                found.extend(guard.check(&host).err().map(|why| (action.key().to_owned(), why)));
            }
            Some(url) => {
                let why = match Url::parse(url) {
                    Err(e) => Some(format!("`{url}` is not a URL: {e}")),
                    Ok(url) => url.host_str().map_or(Some("names no host".into()), |host| guard.check(host).err()),
                };
                found.extend(why.map(|why| ("endpoint_url".to_owned(), why)));
            }
        }
        // A value that begins with a dash would be read as an option of the program.
        let names: Vec<(&str, &str)> = match action {
            AwsAction::RdsReboot(a) => vec![("instance", &a.instance)],
            AwsAction::FailoverCluster(a) => {
                vec![("cluster", a.cluster.as_str()), ("to", a.to.as_deref().unwrap_or("x"))]
            }
            AwsAction::TestFailover(a) => {
                vec![("replication_group", &a.replication_group), ("node_group", &a.node_group)]
            }
            AwsAction::MskReboot(a) => {
                if a.brokers.is_empty() {
                    found.push(("msk_reboot.brokers".into(), "names no broker".into()));
                }
                let brokers = a.brokers.iter().map(|broker| ("brokers", broker.as_str()));
                std::iter::once(("cluster_arn", a.cluster_arn.as_str())).chain(brokers).collect()
            }
            AwsAction::Fis(a) => vec![("template", &a.template)],
        };
        let profile = self.profile.iter().map(|profile| ("profile".to_owned(), profile.as_str()));
        for (key, name) in names.into_iter().map(|(k, v)| (format!("{}.{k}", action.key()), v)).chain(profile) {
            if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
                found.push((key, format!("`{name}` names nothing")));
            }
        }
    }
}

//! What is to be started, as plain values.

use secrecy::SecretString;

use slatest_core::model::Nanos;
use slatest_core::target::KubernetesSection;

/// Most agents of a run on a cluster; each is a pod.
const AGENTS_MAX: u32 = 10_000;
/// Longest name of the Job: its pods are named after it, with index and a random part, in 63 letters.
const NAME_MAX: usize = 48;

/// What is to be started: everything that the pods are made of.
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// Namespace; when `None` the section's, else that of the kubeconfig's context.
    pub namespace: Option<String>,
    /// How many pods, each one agent.
    pub agents: u32,
    /// The run's name; the Job is called after it.
    pub run: String,
    /// Where the pods reach the coordinator, `host:port`.
    pub coordinator_address: String,
    /// With what they enrol. Travels in a Secret, mounted as a file: never in an environment, never on a
    /// command line, where everybody who may look at pods would read it.
    pub token: SecretString,
    /// The certificate of the run's CA, PEM.
    pub ca_pem: String,
    /// How long the plan is. Pods are ended by the cluster when they are there for much longer.
    pub length: Nanos,
    /// Image, when the target file names none, or another one is wanted.
    pub image: Option<String>,
    /// The target's `agents.kubernetes`.
    pub section: KubernetesSection,
}

/// Why nothing can be made of settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No image.
    #[error(
        "nothing says which image the agents run: name it in the target file, `agents: {{ kubernetes: {{ image: registry.example/slatest:{version} }} }}`, or on the command line",
        version = env!("CARGO_PKG_VERSION")
    )]
    NoImage,
    /// An image that is none.
    #[error("{0}")]
    Image(String),
    /// Too few or too many agents.
    #[error("{0} agents can't be started on a cluster: from 1 to {AGENTS_MAX}")]
    Agents(u32),
    /// No address, or one without a port.
    #[error(
        "`{0}` is no address at which pods reach the coordinator: write host:port, with a host that the cluster can resolve or reach"
    )]
    Address(String),
    /// An address that only this machine understands.
    #[error(
        "`{0}` is this machine's own address, where a pod would find itself: name one at which the cluster reaches the coordinator, and let it listen there (--listen 0.0.0.0:PORT)"
    )]
    Loopback(String),
    /// Not a name.
    #[error("{0}")]
    Name(String),
}

impl JobSettings {
    /// Whether the settings make a Job, before anybody is asked.
    ///
    /// # Errors
    /// The first thing that doesn't fit, in words.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(1..=AGENTS_MAX).contains(&self.agents) {
            return Err(SettingsError::Agents(self.agents));
        }
        self.image()?;
        if let Some(namespace) = &self.namespace {
            namespace.parse::<slatest_core::target::cluster_values::Name>().map_err(SettingsError::Name)?;
        }
        let address = || SettingsError::Address(self.coordinator_address.clone());
        let (host, port) = self.coordinator_address.rsplit_once(':').ok_or_else(address)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let named = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:%".contains(&b));
        if !named || !matches!(port.parse::<u16>(), Ok(1..)) {
            return Err(address());
        }
        let own = bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        if own {
            return Err(SettingsError::Loopback(self.coordinator_address.clone()));
        }
        Ok(())
    }

    /// The image that the pods run.
    ///
    /// # Errors
    /// When neither settings nor section name one, or it is none.
    pub fn image(&self) -> Result<String, SettingsError> {
        match (&self.image, &self.section.image) {
            (Some(image), _) => {
                image.parse::<slatest_core::target::cluster_values::Image>().map_err(SettingsError::Image)?;
                Ok(image.clone())
            }
            (None, Some(image)) => Ok(image.to_string()),
            (None, None) => Err(SettingsError::NoImage),
        }
    }

    /// Name of the Job and of its Secret: the run's, in the letters that a cluster takes.
    pub fn name(&self) -> String {
        object_name(&self.run)
    }

    /// Whether the pods would dial their own loopback: right only where they are processes of this machine.
    pub fn dials_loopback(&self) -> bool {
        let host = self.coordinator_address.rsplit_once(':').map_or("", |(host, _)| host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// A name in the letters that a cluster takes, short enough for what is named after it.
pub(super) fn object_name(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let mut text: String = letters.collect();
    if !text.starts_with("slatest") {
        text.insert_str(0, "slatest-");
    }
    text.truncate(NAME_MAX);
    text.trim_end_matches('-').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::kubernetes) fn settings() -> JobSettings {
        JobSettings {
            namespace: Some("load".into()),
            agents: 3,
            run: "slatest-0198c0ffee".into(),
            coordinator_address: "coordinator.load.svc:7420".into(),
            token: SecretString::from("slatest1.secret.fingerprint"),
            ca_pem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into(),
            length: Nanos::from_secs(140),
            image: Some("registry.example/slatest:1".into()),
            section: KubernetesSection::default(),
        }
    }

    #[test]
    fn what_makes_no_job_is_said_before_anybody_is_asked() {
        assert_eq!(settings().check(), Ok(()));
        let with = |change: fn(&mut JobSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings.check().unwrap_err()
        };
        assert_eq!(with(|s| s.agents = 0), SettingsError::Agents(0));
        assert_eq!(with(|s| s.image = None), SettingsError::NoImage);
        assert!(matches!(with(|s| s.image = Some("a b".into())), SettingsError::Image(_)));
        assert!(matches!(with(|s| s.namespace = Some("Load".into())), SettingsError::Name(_)));
        for address in ["host", "host:", ":7420", "host:0", "ho st:7420", "a;b:1", "$(X):1"] {
            let mut settings = settings();
            settings.coordinator_address = address.into();
            assert_eq!(settings.check(), Err(SettingsError::Address(address.into())));
        }
        assert!(matches!(with(|s| s.coordinator_address = "0.0.0.0:7420".into()), SettingsError::Loopback(_)));
    }

    #[test]
    fn objects_are_named_after_the_run() {
        assert_eq!(settings().name(), "slatest-0198c0ffee");
        assert_eq!(object_name("Peak of_May"), "slatest-peak-of-may");
        assert!(object_name(&"x".repeat(99)).len() <= NAME_MAX);
    }
}

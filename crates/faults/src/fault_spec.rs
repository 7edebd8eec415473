//! What can be broken, as it is written: `faults` of a target, or inline in a drill of a profile.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::FaultSpec;
use super::injectors::alone;
use slatest_core::target::{Guard, Mistake};

/// What a drill injects: a fault of the target by its name, or one written in place.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InjectSpec {
    /// Name of one of the target's `faults`.
    Fault(String),
    /// One that is written here.
    #[serde(untagged)]
    Inline(FaultSpec),
}

impl FaultSpec {
    /// The programs that it starts on this machine, by the names that the file gives them.
    pub fn programs(&self) -> Vec<&str> {
        self.section().programs()
    }

    /// Name of the target's proxy that it acts on.
    pub fn proxy(&self) -> Option<&str> {
        self.section().proxy()
    }

    /// Everything wrong with it that shows without contacting anybody, by the key within it: hosts that
    /// aren't allowed, credentials that aren't there or are written out, settings that exclude each other.
    /// `folder` is where relative paths start. No secret is quoted.
    pub fn mistakes(&self, folder: &Path, guard: &Guard) -> Vec<Mistake> {
        let mut found = Vec::new();
        self.section().mistakes(folder, guard, &mut found);
        found.into_iter().map(|mistake| self.under_its_key(mistake)).collect()
    }

    /// A mistake within the settings, with the injector's key before its own.
    pub(super) fn under_its_key(&self, (key, reason): Mistake) -> Mistake {
        let injector = self.injector();
        (if key.is_empty() { injector.into() } else { format!("{injector}.{key}") }, reason)
    }
}

/// Written by hand, so that a mistake inside an injector has its path of keys.
impl<'de> Deserialize<'de> for FaultSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = FaultSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an injector with its settings, one of {}", FaultSpec::INJECTORS.join(", "))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultSpec, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(A::Error::custom(format!(
                        "no injector is named: write one of {}",
                        FaultSpec::INJECTORS.join(", ")
                    )));
                };
                let spec = FaultSpec::read(&key, &mut map, FaultSpec::INJECTORS)?;
                alone(&key, &mut map)?;
                Ok(spec)
            }
        }
        deserializer.deserialize_map(Forms)
    }
}

impl<'de> Deserialize<'de> for InjectSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = InjectSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ fault: NAME } of the target, or an injector with its settings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InjectSpec, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(A::Error::custom("nothing is named: write { fault: NAME } or an injector"));
                };
                let inject = match key.as_str() {
                    "fault" => InjectSpec::Fault(map.next_value()?),
                    key => InjectSpec::Inline(FaultSpec::read(key, &mut map, FaultSpec::INJECTED)?),
                };
                alone(&key, &mut map)?;
                Ok(inject)
            }
        }
        deserializer.deserialize_map(Forms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use slatest_core::model::Problem;
    use slatest_core::source::{Located, Source};
    use slatest_core::target::Allow;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        faults: BTreeMap<String, Located<FaultSpec>>,
    }

    fn problem(text: &str) -> Problem {
        Source::new("t.yaml", text, "").parse::<File>().unwrap_err().0.remove(0)
    }

    fn spec(text: &str) -> FaultSpec {
        let file: File = Source::new("t.yaml", format!("faults:\n  x: {text}\n"), "").parse().unwrap();
        file.faults.into_values().next().unwrap().value
    }

    #[test]
    fn a_slip_within_an_injector_has_its_place_and_a_way_out() {
        let slip = problem("faults:\n  primary:\n    process:\n      pid_fil: run/a.pid\n      signal: kill\n");
        assert_eq!((slip.place.line, slip.place.key.as_str()), (4, "faults.primary.process.pid_fil"), "{slip}");
        assert_eq!(slip.help.as_deref(), Some("did you mean `pid_file`?"));
        let name = problem("faults:\n  primary: { proces: {} }\n");
        assert_eq!(name.help.as_deref(), Some("did you mean `process`?"), "{name}");
        assert_eq!(name.place.line, 2);
        let two = problem("faults:\n  primary: { network: { proxy: a, mode: reset }, command: {} }\n");
        assert!(two.message.contains("one fault breaks one thing"), "{two}");
    }

    #[test]
    fn what_is_written_is_read_back_the_same_from_json() {
        for text in [
            "{ command: { inject: { program: pg_ctl, args: [promote], env: { PGPASSWORD: { env: PG } }, timeout: 30s } } }",
            "{ process: { pid_file: run/a.pid, signal: stop, only: walreceiver } }",
            "{ network: { proxy: db, mode: slow, latency: 200ms, jitter: 50ms, bytes_per_second: 65536 } }",
            "{ http: { inject: { post: 'https://a.example/break', headers: { Authorization: { env: TOKEN } }, status: [202] } } }",
            "{ kubernetes: { context: staging, namespace: emr, delete_pods: { selector: app=api, count: 1 } } }",
            "{ aws: { region: us-east-1, rds_reboot: { instance: emr-primary } } }",
        ] {
            let written = spec(text);
            let json = serde_json::to_string(&written).unwrap();
            assert_eq!(serde_json::from_str::<FaultSpec>(&json).unwrap(), written, "{json}");
        }
    }

    #[test]
    fn a_drill_names_a_fault_or_writes_one() {
        let read = |text: &str| serde_saphyr::from_str::<InjectSpec>(text).map_err(|e| e.to_string());
        assert_eq!(read("{ fault: primary }").unwrap(), InjectSpec::Fault("primary".into()));
        let inline = read("{ network: { proxy: db, mode: reset } }").unwrap();
        assert!(matches!(inline, InjectSpec::Inline(FaultSpec::Network(_))));
        assert!(read("{ fautl: primary }").unwrap_err().contains("expected one of"));
        for inject in [InjectSpec::Fault("primary".into()), inline] {
            let json = serde_json::to_string(&inject).unwrap();
            assert_eq!(serde_json::from_str::<InjectSpec>(&json).unwrap(), inject, "{json}");
        }
    }

    #[test]
    fn what_can_be_seen_to_be_wrong_is_said_by_its_key() {
        let guard =
            Guard::new(&Allow { hosts: vec!["127.0.0.1".into()], max_rate: None, max_users: None, drills: true })
                .unwrap();
        let keys = |text: &str| -> Vec<String> {
            spec(text).mistakes(Path::new("/"), &guard).into_iter().map(|(key, _)| key).collect()
        };
        for (text, wrong) in [
            ("{ command: { inject: { program: '' } } }", "command.inject.program"),
            (
                "{ command: { inject: { program: a, env: { DB_PASSWORD: hunter2 } } } }",
                "command.inject.env.DB_PASSWORD",
            ),
            ("{ command: { inject: { program: a, env: { X: { env: SLATEST_NOT_SET_9 } } } } }", "command.inject.env.X"),
            ("{ command: { inject: { program: a, args: ['x', 'postgres://u:p@h/d'] } } }", "command.inject.args[1]"),
            ("{ command: { inject: { program: a, env: { DSN: 'postgres://u:p@h/d' } } } }", "command.inject.env.DSN"),
            ("{ http: { inject: { get: 'http://127.0.0.1/?token=abc' } } }", "http.inject.get"),
            (
                "{ http: { inject: { post: 'http://127.0.0.1/', json: { a: [{ password: abc }] } } } }",
                "http.inject.json",
            ),
            ("{ process: { pid_file: '', signal: kill } }", "process.pid_file"),
            ("{ process: { pid_file: a, signal: stop, restart: { program: b } } }", "process.restart"),
            ("{ network: { proxy: a, mode: slow } }", "network.mode"),
            ("{ network: { proxy: a, mode: reset, latency: 1s } }", "network.latency"),
            ("{ network: { proxy: a, mode: slow, latency: 1s, jitter: 2s } }", "network.jitter"),
            ("{ http: { inject: { post: 'https://other.example/x' } } }", "http.inject.post"),
            ("{ http: { inject: { post: 'http://u:p@127.0.0.1/x' } } }", "http.inject.post"),
            ("{ http: { inject: { get: 'http://127.0.0.1/x', post: 'http://127.0.0.1/x' } } }", "http.inject"),
            (
                "{ http: { inject: { get: 'http://127.0.0.1/', headers: { Authorization: x } } } }",
                "http.inject.headers.Authorization",
            ),
            ("{ kubernetes: { namespace: a } }", "kubernetes"),
            ("{ kubernetes: { delete_pods: { selector: '' } } }", "kubernetes.delete_pods.selector"),
            ("{ kubernetes: { scale: { deployment: api, replicas: 0 } } }", "kubernetes.namespace"),
            ("{ aws: { region: us-east-1 } }", "aws"),
            ("{ aws: { region: us-east-1, rds_reboot: { instance: a } } }", "aws.rds_reboot"),
            ("{ aws: { region: 'us east', rds_reboot: { instance: a } } }", "aws.region"),
        ] {
            assert!(keys(text).contains(&wrong.to_owned()), "{text}: {:?}", keys(text));
        }
        assert!(keys("{ network: { proxy: a, mode: slow, latency: 1s, jitter: 500ms } }").is_empty());
        assert!(keys("{ http: { inject: { post: 'http://127.0.0.1:9/x' } } }").is_empty());
        let shell = "{ command: { inject: { program: sh, args: [-c, 'PGPASSWORD=$PW psql'] } } }";
        assert!(keys(shell).is_empty(), "what a shell fills in is no credential");
    }
}

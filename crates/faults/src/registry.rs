//! Every injector, one line each; and what is wrong with the faults of a target.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AlertsSpec, Fault, Proxies, ProxySpec, Stopwatch};
use slatest_core::model::{Problem, Problems};
use slatest_core::source::{Located, Source};
use slatest_core::target::{Guard, Mistake};

injectors! {
    /// Runs a program.
    command: Command(CommandSpec)
    /// Signals a process.
    process: Process(ProcessSpec)
    /// Breaks the network between slatest and an endpoint.
    network: Network(NetworkSpec)
    /// Calls a hook.
    http: Http(HttpSpec)
    /// Breaks something of a Kubernetes cluster.
    kubernetes: Kubernetes(KubernetesSpec)
    /// Has AWS fail something over.
    aws: Aws(AwsSpec)
    /// Switches a lamp off.
    #[cfg(test)]
    lamp: Lamp(LampSpec)
}

/// A target file (`targets/*.yaml`) with the faults of all injectors.
pub type Target<E> = slatest_core::target::Target<E, FaultSpec, ProxySpec, AlertsSpec>;

/// What injectors are given.
#[derive(Clone)]
pub struct FaultContext {
    /// Folder that relative paths start from.
    pub folder: PathBuf,
    /// Hosts that may be contacted.
    pub guard: Guard,
    /// Both clocks.
    pub stopwatch: Stopwatch,
    /// The proxies of this process; none when something is healed that another process broke.
    pub proxies: Option<Arc<Proxies>>,
}

/// Makes a fault ready. Contacts nobody.
///
/// # Errors
/// Everything wrong with it, by the key within it.
pub fn compile(spec: &FaultSpec, context: &FaultContext) -> Result<Arc<dyn Fault>, Vec<Mistake>> {
    let wrong = spec.mistakes(&context.folder, &context.guard);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    spec.section().compile(context).map_err(|mistake| vec![spec.under_its_key(mistake)])
}

/// Everything wrong with the faults, proxies and alerts of a target that shows without contacting anybody.
///
/// # Errors
/// All mistakes, each with its place.
pub fn check_target<E>(source: &Source, target: &Target<E>, guard: &Guard) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (name, proxy) in &target.proxies {
        let wrong = proxy.mistakes(guard);
        problems
            .0
            .extend(wrong.into_iter().map(|(key, reason)| at(source, proxy, &format!("proxies.{name}"), &key, reason)));
    }
    for (name, spec) in &target.faults {
        let place = format!("faults.{name}");
        problems.0.extend(mistakes(source, (&place, spec), &spec.value, target, guard));
    }
    if let Some(alerts) = &target.alerts {
        let wrong = alerts.mistakes(guard);
        problems.0.extend(wrong.into_iter().map(|(key, reason)| at(source, alerts, "alerts", &key, reason)));
    }
    if problems.0.is_empty() { Ok(()) } else { Err(problems) }
}

/// Everything wrong with a fault that shows without contacting anybody. It stands in `source` at `place`:
/// (its keys, where it is).
pub fn mistakes<T, E>(
    source: &Source,
    place: (&str, &Located<T>),
    spec: &FaultSpec,
    target: &Target<E>,
    guard: &Guard,
) -> Vec<Problem> {
    let (keys, written) = place;
    if let Some(proxy) = spec.proxy()
        && !target.proxies.contains_key(proxy)
    {
        let reason = format!("`{proxy}` is none of the target's proxies");
        let known = target.proxies.keys().map(String::as_str);
        let problem = at(source, written, keys, &format!("{}.proxy", spec.injector()), reason);
        return vec![match slatest_core::model::nearest(proxy, known) {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None => problem.with_help("name it under `proxies`, with the address that it listens on"),
        }];
    }
    let wrong = spec.mistakes(&source.folder, guard);
    wrong.into_iter().map(|(key, reason)| at(source, written, keys, &key, reason)).collect()
}

fn at<T>(source: &Source, value: &Located<T>, place: &str, key: &str, reason: String) -> Problem {
    let veiled = reason.contains(slatest_core::source::CREDENTIAL_WRITTEN);
    let problem = source.problem_at(value, format!("{place}.{key}"), reason);
    if veiled { problem.veil() } else { problem }
}

/// A path as it was written, from a folder.
pub(super) fn path_from(folder: &Path, written: &str) -> PathBuf {
    folder.join(written)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use slatest_core::model::MonotonicClock;
    use slatest_core::target::Allow;

    /// A context that allows loopback, without proxies.
    pub(crate) fn context(folder: &Path) -> FaultContext {
        let allow = Allow { hosts: vec!["127.0.0.1".into()], max_rate: None, max_users: None, drills: true };
        FaultContext {
            folder: folder.to_owned(),
            guard: Guard::new(&allow).unwrap(),
            stopwatch: Stopwatch::new(Arc::new(MonotonicClock::starting_at(std::time::Instant::now()))),
            proxies: None,
        }
    }

    #[test]
    fn every_mistake_of_a_targets_faults_has_a_place() {
        let text = "name: t
environment: sandbox
allow: { hosts: [127.0.0.1], drills: true }
endpoints: {}
proxies:
  db: { listen: '127.0.0.1:15432', upstream: '127.0.0.1:5432' }
  open: { listen: '0.0.0.0:1', upstream: 'elsewhere:5432' }
faults:
  kill: { process: { pid_file: run/a.pid, signal: kill } }
  cut: { network: { proxy: dbb, mode: blackhole } }
  hook: { http: { inject: { post: 'https://elsewhere/' } } }
alerts: { alertmanager: 'http://elsewhere:9093', names: [''] }
";
        let source = Source::new("t.yaml", text, "");
        let target: Target<serde::de::IgnoredAny> = source.parse().unwrap();
        let guard = Guard::new(&target.allow).unwrap();
        let problems = check_target(&source, &target, &guard).unwrap_err().0;
        let seen: Vec<(usize, &str)> = problems.iter().map(|p| (p.place.line, p.place.key.as_str())).collect();
        assert_eq!(
            seen,
            [
                (7, "proxies.open.listen"),
                (7, "proxies.open.upstream"),
                (10, "faults.cut.network.proxy"),
                (11, "faults.hook.http.inject.post"),
                (12, "alerts.alertmanager"),
                (12, "alerts.names"),
            ]
        );
        assert_eq!(problems[2].help.as_deref(), Some("did you mean `db`?"));
    }
}

//! What is known of each agent of a run that many machines made.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Resources, Scheduling};
use slatest_core::measure::Latencies;
use slatest_core::model::Nanos;

/// One agent's part in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentFacts {
    /// Its number, from 0.
    pub index: u64,
    /// The name by which it joined.
    pub name: String,
    /// The name of its machine.
    pub host: String,
    /// Arrivals that its share held until the end of the run, what it took over included and what others
    /// took over from it left out.
    pub scheduled: u64,
    /// Arrivals that it fired, as far as its intervals tell.
    pub fired: u64,
    /// Fired − intended of these.
    pub dispatch_lag: Latencies,
    /// What it used and suffered; `None` when it never said (it was lost).
    pub resources: Option<Resources>,
    /// Its monotonic clock's reading less the coordinator's, as of the best exchange, in nanoseconds.
    pub clock_offset_ns: i64,
    /// That is off by this much at most.
    pub clock_bound: Nanos,
    /// Its wall clock less the coordinator's, in nanoseconds.
    pub wall_difference_ns: i64,
    /// Intervals that arrived.
    pub intervals: u64,
    /// Parts of the run's time of which no interval arrived: (from, to).
    pub missing: Vec<(Nanos, Nanos)>,
    /// Windows of its own in which something was judged.
    pub judged_windows: u64,
    /// How many of these a stall of its machine spoiled.
    pub spoiled_windows: u64,
    /// Operations under way at the end of its last interval; their ends are in no tally. None where it came
    /// to its end.
    pub in_flight: u64,
    /// When it was given up, on the run's clock.
    pub lost_at: Option<Nanos>,
    /// Whether others took over what it did no more.
    pub taken_over: bool,
    /// Why it stopped before the plan's end, in words; empty when it did not.
    pub early: String,
}

impl AgentFacts {
    /// Its share of all that was fired, from 0 to 1.
    pub fn share(&self, fired: u64) -> f64 {
        if fired == 0 { 0.0 } else { self.fired as f64 / fired as f64 }
    }
}

impl Resources {
    /// Those of many generators together: sums of what they used and had, the longest and the most of what
    /// each of them suffered. Agents of one machine share its processors.
    pub fn of_all(agents: &[AgentFacts]) -> Self {
        let mut hosts = BTreeSet::new();
        let cores = cores_of_hosts(agents);
        agents.iter().filter_map(|agent| Some((agent, agent.resources.as_ref()?))).fold(
            Self::default(),
            |sum, (agent, one)| {
                let machine_cores = if hosts.insert(agent.host.as_str()) { one.machine_cores } else { 0.0 };
                Self {
                    writes_missed: sum.writes_missed + one.writes_missed,
                    workers: sum.workers + one.workers,
                    cores,
                    cpu_secs: sum.cpu_secs + one.cpu_secs,
                    wall_secs: sum.wall_secs.max(one.wall_secs),
                    rss_bytes_max: sum.rss_bytes_max + one.rss_bytes_max,
                    stall_max: sum.stall_max.max(one.stall_max),
                    stall_total: sum.stall_total.max(one.stall_total),
                    run_queue_secs: sum.run_queue_secs + one.run_queue_secs,
                    steal_secs: match (sum.steal_secs, one.steal_secs) {
                        (Some(a), Some(b)) => Some(a.max(b)),
                        (a, b) => a.or(b),
                    },
                    machine_cores: sum.machine_cores + machine_cores,
                    suspended: sum.suspended.max(one.suspended),
                    clock_step: sum.clock_step.max(one.clock_step),
                    open_files_max: sum.open_files_max.max(one.open_files_max),
                    open_files_limit: sum.open_files_limit.max(one.open_files_limit),
                    // Whose quota is whose stands with each of them.
                    quota_cores: None,
                    quota_periods: sum.quota_periods + one.quota_periods,
                    throttled_periods: sum.throttled_periods + one.throttled_periods,
                    throttled: sum.throttled + one.throttled,
                    silent_max: sum.silent_max.max(one.silent_max),
                    workers_lost: sum.workers_lost + one.workers_lost,
                    scheduling: if one.scheduling == Scheduling::Ordinary { sum.scheduling } else { one.scheduling },
                }
            },
        )
    }
}

/// Processors of all machines together: agents of one machine share what it has, and each has no more than its quota.
fn cores_of_hosts(agents: &[AgentFacts]) -> f64 {
    let mut hosts: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for (agent, one) in agents.iter().filter_map(|agent| Some((agent, agent.resources.as_ref()?))) {
        let (quotas, shared, machine) = hosts.entry(&agent.host).or_default();
        match one.quota_cores {
            Some(_) => *quotas += one.cores,
            None => *shared = shared.max(one.cores),
        }
        *machine = machine.max(one.machine_cores);
    }
    let of = |(quotas, shared, machine): (f64, f64, f64)| match machine > 0.0 {
        true => (quotas + shared).min(machine),
        false => quotas + shared,
    };
    hosts.into_values().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(host: &str, cpu_secs: f64) -> AgentFacts {
        let resources = Resources { cores: 2.0, cpu_secs, wall_secs: 10.0, ..Resources::default() };
        AgentFacts { host: host.into(), resources: Some(resources), ..AgentFacts::default() }
    }

    #[test]
    fn agents_of_one_machine_share_its_processors() {
        let agents = [agent("a", 4.0), agent("b", 1.0), agent("a", 5.0), AgentFacts::default()];
        let all = Resources::of_all(&agents);
        assert_eq!((all.cores, all.cpu_secs, all.wall_secs), (4.0, 10.0, 10.0));
    }

    #[test]
    fn agents_with_quotas_have_these_and_no_more_than_the_machine() {
        let quota = |cores| Resources { cores, quota_cores: Some(cores), machine_cores: 2.0, ..Resources::default() };
        let with = |cores| AgentFacts { resources: Some(quota(cores)), ..agent("a", 0.0) };
        assert_eq!(Resources::of_all(&[with(0.1), with(0.3)]).cores, 0.4);
        assert_eq!(Resources::of_all(&[with(1.5), with(1.5)]).cores, 2.0);
    }
}

//! The agents of a run that many machines made, as rows of a table.

use super::phrases::{grouped, plain, time};
use slatest_engine::record::{AgentFigures, RunRecord};

/// Most agents that are shown; the record has them all.
const SHOWN: usize = 20;

/// The table's columns.
pub(super) const COLUMNS: [&str; 8] =
    ["agent", "host", "share", "fired", "dispatch lag p99", "CPU", "clock known to", "intervals"];

/// What is shown of the agents: those that came to grief first.
pub(super) struct AgentsTable {
    /// A row for each that is shown.
    pub rows: Vec<[String; COLUMNS.len()]>,
    /// What is to be said of some of them, a line each.
    pub notes: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// The table of a run's agents; `None` where this process made the load.
pub(super) fn agents(run: &RunRecord) -> Option<AgentsTable> {
    let all = &run.result.agents;
    if all.is_empty() {
        return None;
    }
    let mut shown: Vec<&AgentFigures> = all.iter().collect();
    shown.sort_by_key(|agent| (agent.lost_at.is_none() && agent.early.is_empty(), agent.index));
    let more = shown.len().saturating_sub(SHOWN);
    shown.truncate(SHOWN);
    Some(AgentsTable {
        rows: shown.iter().map(|agent| row(agent)).collect(),
        notes: shown.iter().filter_map(|agent| note(agent)).collect(),
        more,
    })
}

fn row(agent: &AgentFigures) -> [String; COLUMNS.len()] {
    [
        plain(&agent.name),
        plain(&agent.host),
        format!("{:.1}%", agent.share * 100.0),
        format!("{} of {}", grouped(agent.fired), grouped(agent.scheduled)),
        time(agent.dispatch_lag.as_ref(), |t| t.p99),
        agent.cpu_share.map_or_else(|| "?".into(), |share| format!("{:.1}%", share * 100.0)),
        agent.clock_bound.to_string(),
        grouped(agent.intervals),
    ]
}

fn note(agent: &AgentFigures) -> Option<String> {
    let name = plain(&agent.name);
    let taken_over = if agent.taken_over { "; the others took over its share" } else { "" };
    let mut message = match (agent.lost_at, agent.early.as_str()) {
        (Some(at), _) => format!("{name} was lost at {at}{taken_over}"),
        (None, "") if agent.missing.is_empty() => return None,
        (None, "") => format!("{name} left gaps"),
        (None, early) => format!("{name} ended early: {}{taken_over}", plain(early)),
    };
    if let Some((from, to)) = agent.missing.first() {
        let more = agent.missing.len() - 1;
        let more = if more > 0 { format!(" and {more} more times") } else { String::new() };
        message.push_str(&format!("; nothing arrived of it from {from} to {to}{more}"));
    }
    Some(message)
}

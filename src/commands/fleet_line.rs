//! The agents of a run on one line, while it runs.

use slatest_cluster::fleet::{AgentState, AgentView, FleetView};

/// So many agents are shown one by one; of more, the extremes.
const EACH_MAX: usize = 6;

/// Joined, ready, the rate of each, who is slowest, who is lost.
pub(super) fn fleet_line(view: &FleetView) -> String {
    let count = |state| view.count(state);
    let mut parts = vec![format!("{} of {} agents", view.joined(), view.wanted)];
    let started = view.agents.iter().any(|agent| {
        matches!(agent.state, AgentState::Running | AgentState::Away | AgentState::Lost | AgentState::Finished)
    });
    if !started {
        parts.push(format!("{} ready", count(AgentState::Ready)));
        return parts.join(" · ");
    }
    let running: Vec<&AgentView> = view.agents.iter().filter(|agent| agent.state == AgentState::Running).collect();
    if running.len() <= EACH_MAX {
        parts.extend(running.iter().map(|agent| format!("{} {:.0}/s", agent.name, agent.rate)));
    } else {
        let by_rate = |a: &&&AgentView, b: &&&AgentView| a.rate.total_cmp(&b.rate);
        let extremes = running.iter().min_by(by_rate).zip(running.iter().max_by(by_rate));
        if let Some((least, most)) = extremes {
            parts.push(format!("{:.0}/s ({}) to {:.0}/s ({})", least.rate, least.name, most.rate, most.name));
        }
    }
    if let Some(slowest) = view.slowest() {
        parts.push(format!("{} is {} behind", slowest.name, slowest.behind));
    }
    if let Some(busiest) = running.iter().max_by(|a, b| a.cpu_share.total_cmp(&b.cpu_share)) {
        parts.push(format!("CPU up to {:.0}%", busiest.cpu_share * 100.0));
    }
    for (state, word) in [(AgentState::Away, "away"), (AgentState::Lost, "lost")] {
        let named: Vec<&str> =
            view.agents.iter().filter(|agent| agent.state == state).map(|agent| agent.name.as_str()).collect();
        match named.as_slice() {
            [] => {}
            few if few.len() <= EACH_MAX => parts.push(format!("{word}: {}", few.join(", "))),
            many => parts.push(format!("{word}: {}", many.len())),
        }
    }
    match count(AgentState::Finished) {
        0 => {}
        done => parts.push(format!("{done} done")),
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::model::Nanos;

    fn agent(index: u64, state: AgentState) -> AgentView {
        AgentView {
            index,
            name: format!("agent-{index}"),
            state,
            rate: 70.0 + index as f64,
            cpu_share: 0.1 * index as f64,
            behind: Nanos::ZERO,
            opened: (0, 0),
        }
    }

    #[test]
    fn before_the_start_it_says_who_is_missing() {
        let agents = vec![agent(0, AgentState::Ready), agent(1, AgentState::Joined)];
        assert_eq!(fleet_line(&FleetView { wanted: 4, agents }), "2 of 4 agents · 1 ready");
    }

    #[test]
    fn few_are_shown_one_by_one_with_who_is_behind_and_who_is_lost() {
        let behind = AgentView { behind: Nanos::from_millis(1_500), ..agent(1, AgentState::Running) };
        let agents = vec![agent(0, AgentState::Running), behind, agent(2, AgentState::Lost)];
        assert_eq!(
            fleet_line(&FleetView { wanted: 3, agents }),
            "3 of 3 agents · agent-0 70/s · agent-1 71/s · agent-1 is 1.50 s behind · CPU up to 10% · lost: agent-2"
        );
    }

    #[test]
    fn of_many_the_extremes_are_shown() {
        let agents = (0..9).map(|index| agent(index, AgentState::Running)).collect();
        assert_eq!(
            fleet_line(&FleetView { wanted: 9, agents }),
            "9 of 9 agents · 70/s (agent-0) to 78/s (agent-8) · CPU up to 80%"
        );
    }
}

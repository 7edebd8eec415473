//! The facts of many agents as those of one run.

use crate::fleet::AgentEnd;
use slatest_core::measure::Timeline;
use slatest_core::model::Nanos;
use slatest_engine::load::{Abortion, Resources, RunFacts, ScenarioFinding};
use slatest_stats::GAPS_MAX;

/// Agents whose words on one finding are told.
const VOICES_MAX: usize = 5;
/// Longest such words, in bytes.
const VOICE_BYTES_MAX: usize = 400;

/// What the judge is given.
pub fn merge(agents: Vec<AgentEnd>, timeline: Timeline, aborted: Option<Abortion>, interrupted: bool) -> RunFacts {
    let end = timeline.end;
    let findings = findings(&agents);
    let arrival_law = arrival_law(&agents);
    let length = agents.iter().map(|agent| agent.length).max().unwrap_or(Nanos::ZERO);
    let facts: Vec<_> = agents
        .into_iter()
        .map(|mut agent| {
            // What is under way at the end of the last window of all stands in the timeline already.
            if agent.last_interval_end >= end {
                agent.facts.in_flight = 0;
            }
            agent.facts
        })
        .collect();
    RunFacts {
        timeline,
        scheduled: facts.iter().map(|agent| agent.scheduled).sum(),
        fired: facts.iter().map(|agent| agent.fired).sum(),
        length,
        interrupted,
        aborted,
        arrival_law,
        resources: Resources::of_all(&facts),
        findings,
        agents: facts,
        drills: Vec::new(),
    }
}

/// Gaps of all, at most as many as are tested: each agent has the same part in them.
fn arrival_law(agents: &[AgentEnd]) -> Vec<f64> {
    let all: usize = agents.iter().map(|agent| agent.arrival_law.len()).sum();
    let each = if all <= GAPS_MAX { GAPS_MAX } else { (GAPS_MAX / agents.len()).max(1) };
    agents.iter().flat_map(|agent| agent.arrival_law.iter().copied().take(each)).take(GAPS_MAX).collect()
}

/// One finding for each check of a scenario: it holds where it holds for all. Those for whom it does not
/// are heard first.
fn findings(agents: &[AgentEnd]) -> Vec<ScenarioFinding> {
    let mut merged: Vec<(ScenarioFinding, Vec<(&str, &ScenarioFinding)>)> = Vec::new();
    for agent in agents {
        for finding in &agent.findings {
            let same = |f: &ScenarioFinding| f.scenario == finding.scenario && f.check == finding.check;
            let voice = (agent.facts.name.as_str(), finding);
            match merged.iter_mut().find(|(one, _)| same(one)) {
                Some((one, voices)) => {
                    one.holds &= finding.holds;
                    voices.push(voice);
                }
                None => merged.push((finding.clone(), vec![voice])),
            }
        }
    }
    merged
        .into_iter()
        .map(|(mut finding, mut voices)| {
            voices.sort_by_key(|(_, voice)| voice.holds);
            if voices.iter().any(|(_, voice)| voice.detail != voices[0].1.detail) {
                finding.detail = joined(&voices);
            }
            finding
        })
        .collect()
}

fn joined(voices: &[(&str, &ScenarioFinding)]) -> String {
    let cut = |text: &str| text[..text.floor_char_boundary(VOICE_BYTES_MAX)].to_owned();
    let told = voices.iter().take(VOICES_MAX).map(|(name, voice)| format!("{name}: {}", cut(&voice.detail)));
    let mut words = told.collect::<Vec<_>>().join("; ");
    if voices.len() > VOICES_MAX {
        words.push_str(&format!("; and {} agents more", voices.len() - VOICES_MAX));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_engine::load::AgentFacts;

    fn agent(name: &str, holds: bool, detail: &str) -> AgentEnd {
        let finding =
            ScenarioFinding { scenario: "sync".into(), check: "converged".into(), holds, detail: detail.into() };
        AgentEnd {
            facts: AgentFacts { name: name.into(), scheduled: 10, fired: 9, in_flight: 3, ..AgentFacts::default() },
            findings: vec![finding],
            arrival_law: vec![0.5; GAPS_MAX],
            length: Nanos::from_secs(9),
            ..AgentEnd::default()
        }
    }

    #[test]
    fn a_finding_holds_where_it_holds_for_all_and_those_for_whom_it_does_not_are_heard_first() {
        let agents = [agent("a", true, "40 of 40"), agent("b", false, "3 of 40 differ")];
        let merged = findings(&agents);
        assert_eq!(merged.len(), 1);
        assert!(!merged[0].holds);
        assert_eq!(merged[0].detail, "b: 3 of 40 differ; a: 40 of 40");
        let agents: Vec<_> = (0..9).map(|k| agent(&format!("a{k}"), true, "all")).collect();
        assert_eq!(findings(&agents)[0].detail, "all");
        let agents: Vec<_> = (0..9).map(|k| agent(&format!("a{k}"), true, &"ä".repeat(9_000 + k))).collect();
        let detail = &findings(&agents)[0].detail;
        assert!(detail.len() < 3_000 && detail.ends_with("and 4 agents more"), "{detail}");
    }

    #[test]
    fn sums_are_sums_and_gaps_are_no_more_than_are_tested() {
        let timeline = Timeline::new(&[]);
        let facts = merge(vec![agent("a", true, ""), agent("b", true, "")], timeline, None, false);
        assert_eq!((facts.scheduled, facts.fired, facts.length), (20, 18, Nanos::from_secs(9)));
        assert_eq!(facts.arrival_law.len(), GAPS_MAX);
        assert_eq!(facts.agents.len(), 2);
    }
}

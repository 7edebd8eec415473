//! Whether two runs were made alike. Only like is compared with like; what differs is said by name.

use serde::Serialize;
use slatest_core::target::Environment;
use slatest_engine::record::RunRecord;

/// Something that differs between two runs, beside what they measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `profile`, `target`, `plan`, `version`, `machine`, `agents`.
    pub what: &'static str,
    /// In the first run.
    pub before: String,
    /// In the second run.
    pub after: String,
}

/// What differs between two runs, beside what they measured. The seed may differ: it is another night.
pub fn differences(before: &RunRecord, after: &RunRecord) -> Vec<Difference> {
    // Not its name, and not its kernel: pods have a name of their own each night, and kernels are mended.
    let machine = |run: &RunRecord| {
        let gib = run.machine.memory_bytes as f64 / f64::from(1_u32 << 30);
        format!("{} processors, {gib:.0} GiB", run.machine.cores)
    };
    let agents = |run: &RunRecord| match run.result.agents.len() {
        0 => "one process".to_owned(),
        1 => "one agent".to_owned(),
        many => format!("{many} agents"),
    };
    let told = [
        ("profile", before.plan.profile.clone(), after.plan.profile.clone()),
        ("target", before.target.name.clone(), after.target.name.clone()),
        ("version", before.slatest.clone(), after.slatest.clone()),
        ("machine", machine(before), machine(after)),
        ("agents", agents(before), agents(after)),
    ];
    let mut found: Vec<Difference> = told
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| Difference { what, before, after })
        .collect();
    if found.iter().all(|one| one.what != "profile") && plan(before) != plan(after) {
        let of = |run: &RunRecord| format!("as of {}", run.started.strftime("%Y-%m-%d %H:%M"));
        found.push(Difference { what: "plan", before: of(before), after: of(after) });
    }
    // The sandbox has another port each time.
    let is_sandbox = before.target.environment == Environment::Sandbox;
    if !is_sandbox
        && found.iter().all(|one| one.what != "target")
        && before.target.definition != after.target.definition
    {
        let of = |run: &RunRecord| format!("as of {}", run.started.strftime("%Y-%m-%d %H:%M"));
        found.push(Difference { what: "definition of the target", before: of(before), after: of(after) });
    }
    found
}

/// The plan without what is another one each night.
fn plan(run: &RunRecord) -> Option<serde_json::Value> {
    let mut plan = serde_json::to_value(&run.plan).ok()?;
    if let Some(fields) = plan.as_object_mut() {
        fields.remove("seed");
    }
    Some(plan)
}

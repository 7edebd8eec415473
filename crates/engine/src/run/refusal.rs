//! Why a plan is not sent to a target, though its files are valid.

use crate::profile::{AddressNeed, DrillPlan, Plan, Target};
use slatest_core::target::Environment;
use slatest_core::text::grouped;

use super::Permissions;

/// Why a plan is not sent to a target. Each says what it takes to have it sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Real users are met only on purpose, and not by a variable that somebody once set.
    #[error("the target `{target}` is production; name it on the command line: --target {target}")]
    ProductionNotNamed {
        /// How the target was called.
        target: String,
    },
    /// The profile was not written for real users.
    #[error("the target `{target}` is production, and the profile `{profile}` does not say `production: true`")]
    ProductionNotMeant {
        /// How the target was called.
        target: String,
        /// The profile's name.
        profile: String,
    },
    /// Nothing may be broken at the target.
    #[error(
        "the profile `{profile}` breaks things on purpose (drill `{drill}`), and the target `{target}` does not say `allow: {{ drills: true }}`"
    )]
    DrillsForbidden {
        /// The profile's name.
        profile: String,
        /// Its first drill.
        drill: String,
        /// The target's name.
        target: String,
    },
    /// Outside of a sandbox something is broken only where its user says so for this run.
    #[error(
        "the profile `{profile}` breaks things on purpose (drill `{drill}`), and the target `{target}` is {kind}: say --drills if you mean it"
    )]
    DrillsNotMeant {
        /// The profile's name.
        profile: String,
        /// Its first drill.
        drill: String,
        /// The target's name.
        target: String,
        /// `production`, or `no sandbox`.
        kind: &'static str,
    },
    /// A file alone never runs a program.
    #[error(
        "the drill `{drill}` starts programs on this machine, as this user: `{}` ({whose}); say {way} if you mean it",
        programs.join("`, `")
    )]
    CommandsNotMeant {
        /// The drill.
        drill: String,
        /// What it starts.
        programs: Vec<String>,
        /// Where they are written.
        whose: String,
        /// The flag that allows it.
        way: &'static str,
    },
    /// A firewall would block what one address sends, and answer for the platform.
    #[error(
        "{} {} within {} are planned for the endpoint `{}`, which lets one address send {}: {} agents with an address each are needed, this run has {addresses}\n  What {} would send past it is blocked, and says nothing about the platform. Start {} agents on machines or pods of their own (agents on one machine share its address), lower the load with --scale or --rate, or say --allow-listed when the addresses stand on the firewall's allow list.",
        grouped(need.most.ceil() as u64),
        need.counted,
        need.limit.per,
        need.endpoint,
        grouped(need.limit.requests.get()),
        grouped(need.addresses),
        if *addresses == 1 { "one address" } else { "so many addresses" },
        grouped(need.addresses)
    )]
    TooFewAddresses {
        /// What the plan asks of the endpoint.
        need: AddressNeed,
        /// From how many addresses it would be sent.
        addresses: u64,
    },
    /// Windows of agents carry no cohorts of drills.
    #[error("drills (here `{drill}`) are led by the process that makes the load: run them without agents")]
    DrillsWithAgents {
        /// The first of them.
        drill: String,
    },
    /// Agents would go past them.
    #[error("proxies (here `{proxy}`) stand in the process that makes the load: name a target without any")]
    ProxiesWithAgents {
        /// The first of them.
        proxy: String,
    },
}

/// Why a plan may not be sent to production.
pub(super) fn production(
    target_name: &str,
    target: &Target,
    (profile, meant): (&str, bool),
    permissions: &Permissions,
) -> Option<Refusal> {
    if target.environment != Environment::Production {
        return None;
    }
    let target = target_name.to_owned();
    if !permissions.target_named {
        return Some(Refusal::ProductionNotNamed { target });
    }
    (!meant).then(|| Refusal::ProductionNotMeant { target, profile: profile.to_owned() })
}

/// Why a plan's drills may not be done on a target.
pub(super) fn drills(plan: &Plan, target: &Target, permissions: &Permissions) -> Option<Refusal> {
    let drill = plan.drills.first()?.name.clone();
    let (profile, name) = (plan.profile.clone(), target.name.clone());
    if !target.allow.drills {
        return Some(Refusal::DrillsForbidden { profile, drill, target: name });
    }
    let kind = match target.environment {
        Environment::Sandbox => return None,
        Environment::Staging => "no sandbox",
        Environment::Production => "production",
    };
    (!permissions.drills).then_some(Refusal::DrillsNotMeant { profile, drill, target: name, kind })
}

/// Why a plan's drills may not start programs here. A profile alone never starts one: what it writes itself needs
/// `--allow-commands`, what the target names needs that or `--drills`.
pub(super) fn commands(plan: &Plan, permissions: &Permissions) -> Option<Refusal> {
    if permissions.commands {
        return None;
    }
    let refused =
        |drill: &&DrillPlan| !drill.injector.programs().is_empty() && (drill.fault.is_none() || !permissions.drills);
    let drill = plan.drills.iter().find(refused)?;
    let (whose, way) = match &drill.fault {
        None => ("written in the profile".to_owned(), "--allow-commands"),
        Some(fault) => (format!("fault `{fault}` of the target"), "--drills"),
    };
    let programs = drill.injector.programs().into_iter().map(str::to_owned).collect();
    Some(Refusal::CommandsNotMeant { drill: drill.name.clone(), programs, whose, way })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::DrillStart;
    use crate::record::sample;
    use slatest_core::model::Nanos;
    use slatest_faults::steps::HealBy;

    fn drilled() -> Plan {
        let mut plan = sample::plan();
        plan.drills = vec![DrillPlan {
            name: "primary-loss".into(),
            start: DrillStart::AfterSteady { windows: 10, within: Nanos::from_secs(30) },
            fault: Some("primary-kill".into()),
            injector: serde_json::from_value(
                serde_json::json!({ "process": { "pid_file": "a.pid", "signal": "kill" } }),
            )
            .unwrap(),
            hold: None,
            heal: HealBy::Auto,
            watch: Nanos::from_secs(60),
            restored_after: 30,
            scope: "api/*".into(),
            operations: Vec::new(),
            objectives: Vec::new(),
        }];
        plan
    }

    fn target(environment: Environment, drills: bool) -> Target {
        Target {
            name: "staging".into(),
            description: None,
            environment,
            allow: slatest_core::target::Allow { hosts: vec![], max_rate: None, max_users: None, drills }.into(),
            endpoints: Default::default(),
            absent: Default::default(),
            agents: None,
            faults: Default::default(),
            proxies: Default::default(),
            alerts: None,
        }
    }

    #[test]
    fn drills_need_the_target_s_word_and_outside_a_sandbox_the_user_s() {
        let plan = drilled();
        for (environment, allowed, asked, fine) in [
            (Environment::Sandbox, false, true, false),
            (Environment::Sandbox, true, false, true),
            (Environment::Staging, true, false, false),
            (Environment::Staging, true, true, true),
            (Environment::Production, true, false, false),
            (Environment::Production, false, true, false),
            (Environment::Production, true, true, true),
        ] {
            let permissions = Permissions { drills: asked, ..Permissions::default() };
            let refused = drills(&plan, &target(environment, allowed), &permissions);
            assert_eq!(refused.is_none(), fine, "{environment:?} {allowed} {asked}: {refused:?}");
        }
        assert_eq!(drills(&sample::plan(), &target(Environment::Production, false), &Permissions::default()), None);
    }

    #[test]
    fn production_is_named_and_meant() {
        let of = |environment, named, meant| {
            let permissions = Permissions { target_named: named, ..Permissions::default() };
            production("live", &target(environment, false), ("peak", meant), &permissions)
        };
        assert_eq!(of(Environment::Staging, false, false), None);
        assert_eq!(of(Environment::Production, true, true), None);
        assert!(matches!(of(Environment::Production, false, true), Some(Refusal::ProductionNotNamed { .. })));
        assert!(matches!(of(Environment::Production, true, false), Some(Refusal::ProductionNotMeant { .. })));
    }

    #[test]
    fn a_file_alone_never_runs_a_program() {
        let mut plan = drilled();
        plan.drills[0].injector =
            serde_json::from_value(serde_json::json!({ "command": { "inject": ["true"], "heal": ["true"] } })).unwrap();
        let of = |plan: &Plan, drills, commands_allowed| {
            commands(plan, &Permissions { drills, commands: commands_allowed, ..Permissions::default() })
        };
        // What the target names needs either word; what the profile writes itself needs its own.
        assert!(of(&plan, false, false).is_some());
        assert_eq!(of(&plan, true, false), None);
        plan.drills[0].fault = None;
        assert!(of(&plan, true, false).is_some_and(|refused| refused.to_string().contains("--allow-commands")));
        assert_eq!(of(&plan, false, true), None);
    }
}

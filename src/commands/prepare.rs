//! What `run` and `check` do alike before anything is sent: find the files, start the sandbox when it
//! is the target, resolve the plan, ask the guard.

use clap::Args;

use super::Exit;
use super::drills;
use super::problems::report;
#[cfg(feature = "sandbox")]
use super::sandbox_process::SandboxProcess;
use crate::report::phrases::grouped;
use slatest_cluster::bundle::{Packing, pack};
use slatest_cluster::wire;
use slatest_core::model::{Problems, Rate, Span};
use slatest_core::say;
use slatest_core::source::Source;
use slatest_core::target::Environment;
use slatest_engine::profile::{Library, Overrides, Plan, Resolved, Target, addresses_needed, resolve};

/// The target that needs nothing else.
pub const SANDBOX: &str = "sandbox";

/// Which plan, and where it is sent.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Profile: a name (profiles/NAME.yaml here, else built in) or a path
    #[arg(long, short, value_name = "PROFILE")]
    pub profile: String,
    /// Target: a name (targets/NAME.yaml here, else built in) or a path [default: sandbox, or $SLATEST_TARGET]
    #[arg(long, short, value_name = "TARGET")]
    pub target: Option<String>,
    /// Replaces the peak rate of every arrival-rate scenario, or of one: `500/s`, `api=500/s`
    #[arg(long, value_name = "[SCENARIO=]RATE", value_parser = rate_override)]
    pub rate: Vec<(Option<String>, Rate)>,
    /// Stretches (or shrinks) the whole plan to this length
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<Span>,
    /// Multiplies every rate, every number of users and of sessions
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub scale: Option<f64>,
    /// Seed of every random choice: the same seed repeats a run exactly
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// The addresses that load is sent from stand on the allow list of the firewall: `source_limit` of
    /// the target's endpoints does not hold for them
    #[arg(long)]
    pub allow_listed: bool,
    /// Drills may break things on a target that is no sandbox
    #[arg(long)]
    pub drills: bool,
    /// Drills that are written in the profile may start programs on this machine
    #[arg(long)]
    pub allow_commands: bool,
    /// A flag for the sandbox, when it is the target: `--sandbox=--latency=*=lognormal:20ms,0.5`
    #[arg(long = "sandbox", value_name = "FLAG", allow_hyphen_values = true)]
    pub sandbox_flags: Vec<String>,
}

fn rate_override(text: &str) -> Result<(Option<String>, Rate), String> {
    let (scenario, rate) = match text.split_once('=') {
        Some((scenario, rate)) => (Some(scenario.trim().to_owned()), rate),
        None => (None, text),
    };
    let rate: Rate = rate.trim().parse()?;
    if rate.0 > 0.0 { Ok((scenario, rate)) } else { Err("a rate must be above zero".into()) }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err(format!("`{text}` is not a factor above zero")),
    }
}

/// Stands in for the sandbox in a build that leaves it out: there is none to start.
#[cfg(not(feature = "sandbox"))]
#[derive(Debug)]
pub enum SandboxProcess {}

#[cfg(not(feature = "sandbox"))]
impl SandboxProcess {
    fn start(_flags: &[String]) -> Result<Self, String> {
        Err("this build has no sandbox: name a target with --target".into())
    }

    fn target(&self) -> Source {
        match *self {}
    }
}

/// A plan that is ready to be run or shown.
pub struct Prepared {
    /// The plan, its workloads and its target.
    pub resolved: Resolved,
    /// What is left of the target's process when this is dropped: nothing.
    pub sandbox: Option<SandboxProcess>,
}

/// What the arguments name, found: the profile, and the target with what was started for it.
pub struct Found {
    library: Library,
    profile: Source,
    target: Source,
    /// How the target was called.
    name: String,
    /// What is left of the target's process when this is dropped: nothing.
    sandbox: Option<SandboxProcess>,
}

fn invalid(problems: &Problems, sources: &[&Source]) -> Exit {
    report(problems, sources);
    Exit::Invalid
}

/// Finds the files, and starts the sandbox when it is the target. Says what is wrong by itself.
///
/// # Errors
/// The exit code that tells why it can't be run.
pub fn find(args: &PlanArgs) -> Result<Found, Exit> {
    let here = std::env::current_dir().unwrap_or_default();
    let library = Library::new(here);
    let profile = library.profile(&args.profile).map_err(|p| invalid(&p, &[]))?;
    let name = args.target_name();
    let mut sandbox = None;
    let target = if name == SANDBOX {
        let process = SandboxProcess::start(&args.sandbox_flags).map_err(|reason| {
            say!("slatest: {reason}");
            Exit::Unreachable
        })?;
        let target = process.target();
        sandbox = Some(process);
        target
    } else {
        library.target(&name).map_err(|p| invalid(&p, &[]))?
    };
    Ok(Found { library, profile, target, name, sandbox })
}

impl Found {
    /// What is said on the command line alone, in `library` as the profile and the target of this name.
    ///
    /// # Errors
    /// [`Exit::Unexpected`], when they are not there.
    pub fn put(library: Library, name: &str) -> Result<Self, Exit> {
        let lost = |problems: Problems| {
            report(&problems, &[]);
            Exit::Unexpected
        };
        let (profile, target) = (library.profile(name).map_err(lost)?, library.target(name).map_err(lost)?);
        Ok(Self { library, profile, target, name: name.to_owned(), sandbox: None })
    }

    /// Checks and resolves it for one run, with what was started for it. Says what is wrong by itself.
    ///
    /// # Errors
    /// As [`Found::resolve`].
    pub fn prepare(self, args: &PlanArgs) -> Result<Prepared, Exit> {
        Ok(Prepared { resolved: self.resolve(args)?, sandbox: self.sandbox })
    }

    /// Checks and resolves it for one run. Says what is wrong by itself.
    ///
    /// # Errors
    /// The exit code that tells why it can't be run.
    pub fn resolve(&self, args: &PlanArgs) -> Result<Resolved, Exit> {
        self.resolve_as(args, &run_name())
    }

    /// The same for a run of this name.
    ///
    /// # Errors
    /// As [`Found::resolve`].
    pub fn resolve_as(&self, args: &PlanArgs, run: &str) -> Result<Resolved, Exit> {
        let resolved = resolve(&self.library, &self.profile, &self.target, &args.overrides(), run).map_err(|p| {
            let exit = invalid(&p, &[&self.profile, &self.target]);
            if args.target.is_none() && self.name == SANDBOX {
                say!("slatest: no target was named, so it is the embedded sandbox; --target NAME names another");
            }
            exit
        })?;
        let named = std::path::Path::new(&self.profile.name).file_stem().and_then(|stem| stem.to_str());
        if named.is_some_and(|named| named != resolved.plan.profile) {
            say!(
                "slatest: warning: the profile in {} calls itself `{}`: its results have that name",
                self.profile.name,
                resolved.plan.profile
            );
        }
        guard(args, &self.name, &resolved)?;
        let refused = drills::refusal(&resolved.plan, &resolved.target, args.drills)
            .or_else(|| drills::commands_refusal(&resolved.plan, args.drills, args.allow_commands));
        if let Some(reason) = refused {
            say!("slatest: refused: {reason}");
            return Err(Exit::Refused);
        }
        Ok(resolved)
    }

    /// What agents need to come to the same plan, for a run of this name. Says what is wrong by itself.
    ///
    /// # Errors
    /// [`Exit::Invalid`], when a file can't travel.
    pub fn pack(&self, args: &PlanArgs, plan: &Plan, name: &str) -> Result<wire::Assignment, Exit> {
        let packing = Packing {
            library: &self.library,
            working_directory: &std::env::current_dir().unwrap_or_default(),
            profile: &self.profile,
            target: &self.target,
            overrides: &args.overrides(),
            plan,
            name,
        };
        pack(packing).map_err(|p| invalid(&p, &[&self.profile, &self.target]))
    }
}

impl PlanArgs {
    /// To look at a profile's plan where nothing is sent and nothing is broken.
    pub const fn looking(profile: String, target: Option<String>, allow_commands: bool) -> Self {
        Self {
            profile,
            target,
            rate: Vec::new(),
            duration: None,
            scale: None,
            seed: None,
            allow_listed: true,
            drills: true,
            allow_commands,
            sandbox_flags: Vec::new(),
        }
    }

    /// The target's name: as it was said, else as the environment says it, else the sandbox.
    pub fn target_name(&self) -> String {
        target_name(self.target.as_ref())
    }

    /// What the command line replaces of the profile.
    pub fn overrides(&self) -> Overrides {
        Overrides { rates: self.rate.clone(), duration: self.duration, scale: self.scale, seed: self.seed }
    }
}

/// A target's name: as it was said, else as the environment says it, else the sandbox.
pub fn target_name(said: Option<&String>) -> String {
    let from_environment = || std::env::var("SLATEST_TARGET").ok().filter(|name| !name.is_empty());
    said.cloned().or_else(from_environment).unwrap_or_else(|| SANDBOX.into())
}

/// The name that a run has towards the target, in headers, keys and document names. Version 7 begins with
/// the time, so that what a run left at a target sorts by it.
pub fn run_name() -> String {
    format!("slatest-{}", uuid::Uuid::now_v7().simple())
}

/// Finds, checks and resolves everything that the arguments name. Says what is wrong by itself.
///
/// # Errors
/// The exit code that tells why it can't be run.
pub fn prepare(args: &PlanArgs) -> Result<Prepared, Exit> {
    find(args)?.prepare(args)
}

/// Real users are met only on purpose: the target is named on the command line (not by a variable
/// that somebody once set), and the profile says that it may.
fn guard(args: &PlanArgs, name: &str, resolved: &Resolved) -> Result<(), Exit> {
    if resolved.target.environment != Environment::Production {
        return Ok(());
    }
    if args.target.is_none() {
        say!("slatest: refused: the target `{name}` is production; name it on the command line: --target {name}");
        return Err(Exit::Refused);
    }
    if !resolved.production {
        say!(
            "slatest: refused: the target `{name}` is production, and the profile `{}` does not say `production: true`",
            resolved.plan.profile
        );
        return Err(Exit::Refused);
    }
    Ok(())
}

/// A firewall that blocks what one address sends too much of must not answer for the platform: the plan
/// is spread over as many addresses as it needs, or not sent. `addresses` is how many it is sent from;
/// agents on one machine are one.
///
/// # Errors
/// [`Exit::Refused`], said in words.
pub fn spread(args: &PlanArgs, plan: &Plan, target: &Target, addresses: u64) -> Result<(), Exit> {
    if args.allow_listed {
        return Ok(());
    }
    let mut refused = false;
    for need in addresses_needed(plan, target) {
        if !need.unknown.is_empty() {
            say!(
                "slatest: warning: the endpoint `{}` lets one address send {} {} per {}, and how much the virtual users of {} send is not known beforehand: they never pause",
                need.endpoint,
                grouped(need.limit.requests.get()),
                need.counted,
                need.limit.per,
                need.unknown.join(", ")
            );
        }
        if need.addresses > addresses {
            refused = true;
            let noun = if addresses == 1 { "one address" } else { "so many addresses" };
            say!(
                "slatest: refused: {} {} within {} are planned for the endpoint `{}`, which lets one address send {}: {} agents with an address each are needed, this run has {addresses}",
                grouped(need.most.ceil() as u64),
                need.counted,
                need.limit.per,
                need.endpoint,
                grouped(need.limit.requests.get()),
                grouped(need.addresses),
            );
            say!(
                "  What {noun} would send past it is blocked, and says nothing about the platform. Start {} agents on machines or pods of their own (agents on one machine share its address), lower the load with --scale or --rate, or say --allow-listed when the addresses stand on the firewall's allow list.",
                grouped(need.addresses),
            );
        }
    }
    if refused { Err(Exit::Refused) } else { Ok(()) }
}

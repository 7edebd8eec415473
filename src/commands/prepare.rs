//! What every verb does that has a plan, before anything is sent: find the files, and start the sandbox when it is the
//! target.

use clap::Args;

#[cfg(feature = "sandbox")]
use super::sandbox_process::SandboxProcess;
use slatest_core::model::{Problems, Rate, Span};
use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, Resolved};
use slatest_engine::run::{Observer, Permissions, RunError, Selection, run_name};

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

/// What the arguments name, found: the profile, and the target with what was started for it.
pub struct Found {
    /// What is to be run.
    pub selection: Selection,
    /// What is left of the target's process when this is dropped: nothing.
    _sandbox: Option<SandboxProcess>,
}

fn not_found(problems: Problems) -> RunError {
    RunError::Invalid { problems, sources: Vec::new(), hint: None }
}

/// Finds the files, and starts the sandbox when it is the target.
///
/// # Errors
/// [`RunError::Invalid`] where a file is not there, [`RunError::NotStarted`] where there is no sandbox.
pub fn find(args: &PlanArgs) -> Result<Found, RunError> {
    let here = std::env::current_dir().unwrap_or_default();
    let library = Library::new(here);
    let profile = library.profile(&args.profile).map_err(not_found)?;
    let name = args.target_name();
    let mut sandbox = None;
    let target = if name == SANDBOX {
        let process = SandboxProcess::start(&args.sandbox_flags).map_err(RunError::NotStarted)?;
        let target = process.target();
        sandbox = Some(process);
        target
    } else {
        library.target(&name).map_err(not_found)?
    };
    Ok(Found { selection: args.select(library, (profile, target), name), _sandbox: sandbox })
}

impl Found {
    /// What is said on the command line alone, in `library` as the profile and the target of this name.
    ///
    /// # Errors
    /// [`RunError::Invalid`], when they are not there.
    pub fn put(library: Library, name: &str, args: &PlanArgs) -> Result<Self, RunError> {
        let (profile, target) = (library.profile(name).map_err(not_found)?, library.target(name).map_err(not_found)?);
        Ok(Self { selection: args.select(library, (profile, target), name.to_owned()), _sandbox: None })
    }

    /// Checks and resolves it, for who looks at the plan.
    ///
    /// # Errors
    /// As [`Selection::resolve`].
    pub fn resolve(&self, observer: &mut dyn Observer) -> Result<Resolved, RunError> {
        self.selection.resolve(&run_name(), observer)
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

    fn select(&self, library: Library, (profile, target): (Source, Source), target_name: String) -> Selection {
        let hint = (self.target.is_none() && target_name == SANDBOX)
            .then(|| "no target was named, so it is the embedded sandbox; --target NAME names another".to_owned());
        let permissions = Permissions {
            target_named: self.target.is_some(),
            drills: self.drills,
            commands: self.allow_commands,
            allow_listed: self.allow_listed,
        };
        Selection { library, profile, target, target_name, overrides: self.overrides(), permissions, hint }
    }
}

/// A target's name: as it was said, else as the environment says it, else the sandbox.
pub fn target_name(said: Option<&String>) -> String {
    let from_environment = || std::env::var("SLATEST_TARGET").ok().filter(|name| !name.is_empty());
    said.cloned().or_else(from_environment).unwrap_or_else(|| SANDBOX.into())
}

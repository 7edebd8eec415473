//! The faults of a target, found and made ready, without contacting anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::commands::Exit;
use crate::commands::prepare::SANDBOX;
use crate::commands::problems::report;
use crate::report::phrases::plain;
use slatest_core::model::MonotonicClock;
use slatest_core::say;
use slatest_core::source::Source;
use slatest_core::target::{Environment, Guard};
use slatest_engine::profile::{Library, ProfileFile, Shelf, Target};
use slatest_faults::{Fault, FaultContext, FaultSpec, InjectSpec, Proxies, Stopwatch, compile};

/// What is said of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Its name; that of the drill where it is written in a profile.
    pub name: String,
    /// The key of its injector.
    pub injector: &'static str,
    /// What it breaks, in words; none where it can't be made ready.
    pub breaks: Option<String>,
    /// How it is mended; none where nothing mends it but the platform itself.
    pub healed: Option<String>,
    /// Which rights it takes.
    pub rights: Option<String>,
    /// What is wrong with it as it is written.
    pub wrong: Vec<String>,
}

/// A fault and what is said of it.
pub struct Ready {
    /// In words.
    pub described: Described,
    /// Itself; none where it can't be made ready.
    pub fault: Option<Arc<dyn Fault>>,
}

/// Makes a fault ready and describes it. `folder` is where relative paths in it start.
pub fn ready(name: &str, spec: &FaultSpec, folder: &Path, guard: &Guard, proxies: Option<&Arc<Proxies>>) -> Ready {
    let context = FaultContext {
        folder: folder.to_owned(),
        guard: guard.clone(),
        stopwatch: stopwatch(),
        proxies: proxies.cloned(),
    };
    let compiled = compile(spec, &context);
    let (fault, wrong) = match compiled {
        Ok(fault) => (Some(fault), Vec::new()),
        Err(wrong) => (None, wrong.into_iter().map(|(key, reason)| plain(&format!("{key}: {reason}"))).collect()),
    };
    let described = Described {
        name: plain(name),
        injector: spec.injector(),
        breaks: fault.as_ref().map(|fault| plain(&fault.describe())),
        healed: fault.as_ref().and_then(|fault| fault.remedy()).map(|message| plain(&message)),
        rights: fault.as_ref().map(|fault| plain(&fault.rights())),
        wrong,
    };
    Ready { described, fault }
}

/// Both clocks, for faults outside of a run.
pub fn stopwatch() -> Stopwatch {
    Stopwatch::new(Arc::new(MonotonicClock::starting_at(Instant::now())))
}

/// A target, by itself.
pub struct Place {
    /// What the file says.
    pub target: Target,
    /// Folder that relative paths in it start from.
    pub folder: PathBuf,
    /// Hosts that may be contacted.
    pub guard: Guard,
}

/// Finds and reads a target. Says what is wrong by itself; mistakes of single faults are theirs.
///
/// # Errors
/// The exit code that tells why it can't be used.
pub fn place(library: &Library, name: &str) -> Result<Place, Exit> {
    if name == SANDBOX {
        let others = library.names(Shelf::Targets).join(", ");
        say!("slatest: the embedded sandbox names no faults; say which target with --target (there is {others})");
        return Err(Exit::Usage);
    }
    let invalid = |problems, sources: &[&Source]| {
        report(&problems, sources);
        Exit::Invalid
    };
    let source = library.target(name).map_err(|problems| invalid(problems, &[]))?;
    let target: Target = source.parse().map_err(|problems| invalid(problems, &[&source]))?;
    let guard = Guard::new(&target.allow)
        .map_err(|reason| invalid(source.problem_at(&target.allow, "allow.hosts", reason).into(), &[&source]))?;
    Ok(Place { target, folder: source.folder, guard })
}

/// Which profiles at hand have drills with which faults: profiles by the fault's name. Those that can't be read
/// are given by name beside it.
pub fn uses(library: &Library) -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut unread = Vec::new();
    for name in library.names(Shelf::Profiles) {
        let Ok(file) = library.profile(&name).and_then(|source| source.parse::<ProfileFile>()) else {
            unread.push(name);
            continue;
        };
        for drill in &file.drills {
            if let InjectSpec::Fault(fault) = &drill.inject.value {
                uses.entry(fault.clone()).or_default().insert(name.clone());
            }
        }
    }
    (uses, unread)
}

/// What a run must say to do drills at a target, in words.
pub fn permission(target: &Target) -> &'static str {
    match (target.allow.drills, target.environment) {
        (false, _) => "drills are refused here: it does not say `allow: { drills: true }`",
        (true, Environment::Sandbox) => "drills are allowed here",
        (true, Environment::Staging) => "drills are allowed here; a run needs --drills",
        (true, Environment::Production) => {
            "drills are allowed here, on real users; a run needs --drills, --target, and `production: true` of the profile"
        }
    }
}

/// What kind of place a target is.
pub const fn kind(environment: Environment) -> &'static str {
    match environment {
        Environment::Sandbox => "sandbox",
        Environment::Staging => "staging",
        Environment::Production => "production",
    }
}

//! What is to be run, and what its user allows.

use std::path::Path;
use std::sync::Arc;

use super::{Observer, Refusal, RunError, refusal};
use crate::profile::{Library, Overrides, Plan, Resolved, Target, addresses_needed, resolve};
use slatest_core::source::Source;
use slatest_core::target::Guard;
use slatest_core::text::grouped;
use slatest_faults::{AlertWatch, Proxies};

/// What the user of a run allows for this run alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The target was named for this run; needed where it is production.
    pub target_named: bool,
    /// Drills may break things on a target that is no sandbox.
    pub drills: bool,
    /// Drills that are written in the profile may start programs on this machine.
    pub commands: bool,
    /// The addresses that load is sent from stand on the firewall's allow list: `source_limit` doesn't hold for them.
    pub allow_listed: bool,
}

/// What is to be run, as it was found: the files, and what is replaced of them.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Where workloads are found.
    pub library: Library,
    /// The profile.
    pub profile: Source,
    /// The target.
    pub target: Source,
    /// How the target was called.
    pub target_name: String,
    /// What is replaced of the profile.
    pub overrides: Overrides,
    /// What is allowed for this run.
    pub permissions: Permissions,
    /// What may be behind a mistake in the files, as a sentence.
    pub hint: Option<String>,
}

/// The name that a run has towards the target, in headers, keys and document names. Version 7 begins with
/// the time, so that what a run left at a target sorts by it.
pub fn run_name() -> String {
    format!("slatest-{}", uuid::Uuid::now_v7().simple())
}

impl Selection {
    /// Checks and resolves it for the run of this name, and asks whether it may be sent at all. Contacts nobody.
    ///
    /// # Errors
    /// [`RunError::Invalid`] with every mistake, [`RunError::Refused`].
    pub fn resolve(&self, run: &str, observer: &mut dyn Observer) -> Result<Resolved, RunError> {
        let resolved = resolve(&self.library, &self.profile, &self.target, &self.overrides, run);
        let resolved = resolved.map_err(|problems| RunError::Invalid {
            problems,
            sources: vec![self.profile.clone(), self.target.clone()],
            hint: self.hint.clone(),
        })?;
        let (plan, target) = (&resolved.plan, &resolved.target);
        let named = Path::new(&self.profile.name).file_stem().and_then(|stem| stem.to_str());
        if named.is_some_and(|named| named != plan.profile) {
            observer.notice(&format!(
                "warning: the profile in {} calls itself `{}`: its results have that name",
                self.profile.name, plan.profile
            ));
        }
        let permissions = &self.permissions;
        let refused = refusal::production(&self.target_name, target, (&plan.profile, resolved.production), permissions)
            .or_else(|| refusal::drills(plan, target, permissions))
            .or_else(|| refusal::commands(plan, permissions));
        refused.map_or(Ok(resolved), |refused| Err(RunError::Refused(vec![refused])))
    }

    /// A firewall that blocks what one address sends too much of must not answer for the platform: the plan is spread
    /// over as many addresses as it needs, or not sent. `addresses` is how many it is sent from; agents on one machine
    /// are one.
    ///
    /// # Errors
    /// [`RunError::Refused`], for each endpoint that would block it.
    pub fn check_addresses(
        &self,
        plan: &Plan,
        target: &Target,
        addresses: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        if self.permissions.allow_listed {
            return Ok(());
        }
        let mut refused = Vec::new();
        for need in addresses_needed(plan, target) {
            if !need.unknown.is_empty() {
                observer.notice(&format!(
                    "warning: the endpoint `{}` lets one address send {} {} per {}, and how much the virtual users of {} send is not known beforehand: they never pause",
                    need.endpoint,
                    grouped(need.limit.requests.get()),
                    need.counted,
                    need.limit.per,
                    need.unknown.join(", ")
                ));
            }
            if need.addresses > addresses {
                refused.push(Refusal::TooFewAddresses { need, addresses });
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(RunError::Refused(refused)) }
    }
}

/// Puts up the target's proxies, which stand between this process and its endpoints from now on.
///
/// # Errors
/// [`RunError::Proxy`], when an address can't be had.
pub fn put_up_proxies(target: &Target) -> Result<Arc<Proxies>, RunError> {
    let specs = target.proxies.iter().map(|(name, spec)| (name.as_str(), &spec.value));
    Ok(Arc::new(Proxies::start(specs)?))
}

/// Who says when a drill's fault was detected, where there are drills and the target names somebody.
///
/// # Errors
/// [`RunError::Alerts`], when it can't be asked as it is written.
pub fn alerts(resolved: &Resolved) -> Result<Option<AlertWatch>, RunError> {
    let Some(spec) = resolved.target.alerts.as_ref().filter(|_| !resolved.plan.drills.is_empty()) else {
        return Ok(None);
    };
    let guard = Guard::new(&resolved.target.allow).map_err(RunError::Alerts)?;
    AlertWatch::new(spec, &resolved.target_folder, &guard).map(Some).map_err(RunError::Alerts)
}

//! What drills break, and mend again: one small file per injector behind [`Fault`].
//!
//! A fault goes through four steps, and each is journalled before it acts: it is looked at ([`Fault::plan`],
//! which changes nothing and says what is needed to undo it), injected, healed, probed. [`steps`] says which
//! comes when, and that whatever was injected is healed; [`execute`] does it.
//!
//! To add an injector: its folder, with what is written of it in `settings.rs` and a [`Fault`] in `mod.rs`; its `mod`
//! line here; and its line in `registry.rs`. The tests' folder `lamp/` is the smallest one that does it.
//!
//! What is written belongs to every build, an injector that needs a feature to those with it. So the module of one whose
//! feature is off is its `settings.rs` alone.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod alerts;
mod aws;
pub mod chaostoolkit;
mod command;
mod error;
pub mod execute;
mod fault_spec;
mod http;
#[macro_use]
mod injectors;
pub mod journal;
#[cfg_attr(not(feature = "kubernetes"), path = "kubernetes/settings.rs")]
mod kubernetes;
#[cfg(test)]
mod lamp;
mod mark;
mod network;
mod process;
mod process_tree;
mod program;
mod proxy;
mod registry;
pub mod steps;
mod timestamps;
mod undo;
mod url;

use futures_util::future::BoxFuture;

pub use alerts::{AlertWatch, AlertsSpec, Detected};
pub use error::FaultError;
pub use fault_spec::InjectSpec;
pub use injectors::FaultSection;
pub use proxy::{Condition, Proxies, Proxy, ProxyError, ProxySpec};
pub use registry::{FaultContext, FaultSpec, Target, check_target, compile, mistakes};
pub(crate) use slatest_core::target::Mistake;
pub use timestamps::{Injected, Moment, Reported, Stopwatch};
pub use undo::Undo;

/// Something that can be broken and mended.
///
/// Clients, connections and processes are made within a call and end with it: the call that heals may come
/// on another thread, in another runtime, or days later in another process.
pub trait Fault: Send + Sync {
    /// What it breaks, in words: `kills postgres-a (process 4711) and its children`.
    fn describe(&self) -> String;

    /// How it is mended, in words; `None` where nothing mends it but the platform itself.
    fn remedy(&self) -> Option<String>;

    /// Which rights it needs, in words.
    fn rights(&self) -> String;

    /// Looks whether it can be injected, changes nothing, and says what healing will need to know.
    ///
    /// # Errors
    /// Why it can't: then nothing was done and nothing need be undone.
    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>>;

    /// Breaks it.
    ///
    /// # Errors
    /// Why it could not be broken, or not be seen to be. It may be broken none the less: heal it.
    fn inject<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>>;

    /// Looks whether it is broken or sound. Changes nothing.
    ///
    /// # Errors
    /// Why that can't be seen.
    fn probe<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>>;

    /// Mends it, and says in words what was done. Does no harm where nothing is broken, and can be asked
    /// again.
    ///
    /// # Errors
    /// What is left broken, and what to do by hand.
    fn heal<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>>;

    /// When the provider says that it happened, by its own clock. Asked late, because providers tell late.
    ///
    /// # Errors
    /// Why it can't be asked.
    fn reported<'a>(
        &'a self,
        _undo: &'a Undo,
        _injected: &'a Injected,
    ) -> BoxFuture<'a, Result<Option<Reported>, FaultError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What a look at something found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Probe {
    /// Its state.
    pub state: Soundness,
    /// In words.
    pub detail: String,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Soundness {
    /// As it should be.
    Sound,
    /// Not as it should be.
    Broken,
    /// Nothing tells.
    Unknown,
}

impl Probe {
    /// A look that found it sound or broken.
    pub fn found(sound: bool, detail: impl Into<String>) -> Self {
        Self { state: if sound { Soundness::Sound } else { Soundness::Broken }, detail: detail.into() }
    }

    /// Nothing to look with.
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self { state: Soundness::Unknown, detail: detail.into() }
    }
}

//! The smallest injector: it takes a file away and puts it back. For tests alone, it shows what an injector takes.

mod settings;
mod tests;

pub use settings::LampSpec;

use std::path::PathBuf;

use futures_util::future::{BoxFuture, ready};

use crate::registry::path_from;
use crate::{Fault, FaultContext, FaultError, Injected, Probe, Stopwatch, Undo};

/// Switches a lamp off.
pub(super) struct LampFault {
    lit: PathBuf,
    stopwatch: Stopwatch,
}

impl LampFault {
    pub fn new(spec: &LampSpec, context: &FaultContext) -> Self {
        Self { lit: path_from(&context.folder, &spec.lit), stopwatch: context.stopwatch.clone() }
    }

    fn put_out(&self) -> Result<Injected, FaultError> {
        let issued = self.stopwatch.now();
        std::fs::remove_file(&self.lit).map_err(|e| FaultError::failed("switching it off", e))?;
        Ok(Injected { issued, acknowledged: self.stopwatch.now(), reported: None, detail: "off".into() })
    }

    fn light(&self) -> Result<String, FaultError> {
        std::fs::write(&self.lit, "").map_err(|e| FaultError::failed("switching it on", e))?;
        Ok("on".into())
    }
}

impl Fault for LampFault {
    fn describe(&self) -> String {
        format!("switches {} off", self.lit.display())
    }

    fn remedy(&self) -> Option<String> {
        Some("switches it on".into())
    }

    fn rights(&self) -> String {
        "to write its file".into()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        Box::pin(ready(match self.lit.exists() {
            true => Ok(Undo::default()),
            false => Err(FaultError::Refused("it is off already".into())),
        }))
    }

    fn inject<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(ready(self.put_out()))
    }

    fn probe<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(ready(Ok(Probe::found(self.lit.exists(), "looked at its file"))))
    }

    fn heal<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(ready(self.light()))
    }
}

//! A fault of a lamp.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LampFault;
use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::target::Guard;

/// Switches a lamp off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LampSpec {
    /// File that is there while it is lit.
    pub lit: String,
}

impl FaultSection for LampSpec {
    fn mistakes(&self, _: &Path, _: &Guard, found: &mut Vec<Mistake>) {
        if self.lit.is_empty() {
            found.push(("lit".into(), "names no file".into()));
        }
    }

    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(LampFault::new(self, context)))
    }
}

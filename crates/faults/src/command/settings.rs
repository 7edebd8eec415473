//! A fault that programs make and mend.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CommandFault;
use crate::program::Program;
use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::target::Guard;

/// Runs programs: one that breaks, one that mends, one that looks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Makes ready what breaking it needs, as holding back replication before a primary is lost. The fault's
    /// instant comes after it, when `inject` is run; `heal` undoes both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Program>,
    /// Breaks it. Exit code 0 says that it is broken.
    pub inject: Program,
    /// Mends it; run whatever happened, so it must do no harm where nothing is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<Program>,
    /// Looks: exit code 0 says that it is sound, any other that it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Program>,
}

impl FaultSection for CommandSpec {
    fn programs(&self) -> Vec<&str> {
        let all = [self.prepare.as_ref(), Some(&self.inject), self.heal.as_ref(), self.probe.as_ref()];
        all.into_iter().flatten().map(|program| program.program.as_str()).collect()
    }

    fn mistakes(&self, folder: &Path, _: &Guard, found: &mut Vec<Mistake>) {
        self.inject.mistakes("inject", folder, found);
        for (at, program) in [("prepare", &self.prepare), ("heal", &self.heal), ("probe", &self.probe)] {
            if let Some(program) = program {
                program.mistakes(at, folder, found);
            }
        }
    }

    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(CommandFault::new(self, context)))
    }
}

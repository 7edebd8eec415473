//! Programs that break, mend and look.

use futures_util::future::BoxFuture;

use super::program::Runner;
use super::registry::FaultContext;
use super::{Fault, FaultError, Injected, Probe, Stopwatch, Undo};
use crate::target::fault::CommandSpec;

/// Runs programs.
pub(super) struct CommandFault {
    inject: Runner,
    heal: Option<Runner>,
    probe: Option<Runner>,
    stopwatch: Stopwatch,
}

impl CommandFault {
    pub fn new(spec: &CommandSpec, context: &FaultContext) -> Self {
        let runner = |program| Runner::new(program, &context.folder);
        Self {
            inject: runner(&spec.inject),
            heal: spec.heal.as_ref().map(runner),
            probe: spec.probe.as_ref().map(runner),
            stopwatch: context.stopwatch.clone(),
        }
    }
}

impl Fault for CommandFault {
    fn describe(&self) -> String {
        format!("runs `{}`", self.inject.words())
    }

    fn remedy(&self) -> Option<String> {
        self.heal.as_ref().map(|heal| format!("runs `{}`", heal.words()))
    }

    fn rights(&self) -> String {
        "those that its programs need, run as the user that runs slatest".into()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        let found = [Some(&self.inject), self.heal.as_ref(), self.probe.as_ref()];
        let found = found.into_iter().flatten().try_for_each(|runner| runner.find().map(drop));
        Box::pin(std::future::ready(found.map(|()| Undo::default())))
    }

    fn inject<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let issued = self.stopwatch.now();
            let ended = self.inject.run().await?;
            let acknowledged = self.stopwatch.now();
            if !ended.success {
                return Err(FaultError::failed(format!("`{}`", self.inject.words()), ended.said()));
            }
            Ok(Injected { issued, acknowledged, reported: None, detail: ended.said() })
        })
    }

    fn probe<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(async {
            let Some(probe) = &self.probe else { return Ok(Probe::unknown("no probe is named")) };
            let ended = probe.run().await?;
            Ok(Probe::found(ended.success, format!("`{}`: {}", probe.words(), ended.said())))
        })
    }

    fn heal<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async {
            let Some(heal) = &self.heal else { return Ok("nothing is named to mend it with".into()) };
            let ended = heal.run().await?;
            let words = format!("`{}`", heal.words());
            if ended.success {
                Ok(format!("{words}: {}", ended.said()))
            } else {
                Err(FaultError::failed(words, ended.said()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::tests::context;
    use super::super::{Soundness, compile};
    use super::*;
    use crate::target::fault::FaultSpec;

    #[tokio::test]
    async fn it_breaks_is_seen_broken_and_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("service"), "up").unwrap();
        let spec: FaultSpec = serde_saphyr::from_str(
            "command:
  inject: { program: rm, args: [service] }
  heal: { program: touch, args: [service] }
  probe: { program: test, args: [-e, service] }
",
        )
        .unwrap();
        let fault = compile(&spec, &context(folder.path())).ok().unwrap();
        let undo = fault.plan().await.unwrap();
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
        let injected = fault.inject(&undo).await.unwrap();
        assert!(injected.issued.run <= injected.acknowledged.run);
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
        let again = fault.inject(&undo).await.unwrap_err().to_string();
        assert!(again.contains("`rm service`: exit code 1: ") && again.contains("service"), "{again}");
        fault.heal(&undo).await.unwrap();
        fault.heal(&undo).await.expect("healing twice does no harm");
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
    }

    #[tokio::test]
    async fn a_program_that_is_missing_to_heal_with_keeps_it_from_being_broken() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "command: { inject: { program: 'true' }, heal: { program: slatest-no-such-program } }";
        let fault = compile(&serde_saphyr::from_str(yaml).unwrap(), &context(folder.path())).ok().unwrap();
        let refused = fault.plan().await.unwrap_err();
        assert!(matches!(refused, FaultError::Refused(_)), "{refused}");
    }
}

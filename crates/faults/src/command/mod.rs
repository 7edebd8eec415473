//! Programs that break, mend and look.

mod settings;

use futures_util::future::BoxFuture;

pub use settings::CommandSpec;

use super::program::Runner;
use super::registry::FaultContext;
use super::{Fault, FaultError, Injected, Probe, Stopwatch, Undo};

/// Runs programs.
pub(super) struct CommandFault {
    prepare: Option<Runner>,
    inject: Runner,
    heal: Option<Runner>,
    probe: Option<Runner>,
    stopwatch: Stopwatch,
}

impl CommandFault {
    pub fn new(spec: &CommandSpec, context: &FaultContext) -> Self {
        let runner = |program| Runner::new(program, &context.folder);
        Self {
            prepare: spec.prepare.as_ref().map(runner),
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
        let found = [self.prepare.as_ref(), Some(&self.inject), self.heal.as_ref(), self.probe.as_ref()];
        let found = found.into_iter().flatten().try_for_each(|runner| runner.find().map(drop));
        Box::pin(std::future::ready(found.map(|()| Undo::default())))
    }

    fn inject<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let prepared = match &self.prepare {
                Some(prepare) => Some(done(prepare).await?),
                None => None,
            };
            let issued = self.stopwatch.now();
            let said = done(&self.inject).await?;
            let acknowledged = self.stopwatch.now();
            let detail = prepared.map_or_else(|| said.clone(), |prepared| format!("{prepared}; {said}"));
            Ok(Injected { issued, acknowledged, reported: None, detail })
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
            Ok(format!("`{}`: {}", heal.words(), done(heal).await?))
        })
    }
}

/// Runs it; what it said, if it went well.
async fn done(program: &Runner) -> Result<String, FaultError> {
    let ended = program.run().await?;
    if ended.success {
        Ok(ended.said())
    } else {
        Err(FaultError::failed(format!("`{}`", program.words()), ended.said()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::tests::context;
    use super::super::{Soundness, compile};
    use super::*;
    use crate::FaultSpec;

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
    async fn what_it_takes_to_make_ready_is_no_part_of_the_fault() {
        let folder = tempfile::tempdir().unwrap();
        let spec: FaultSpec = serde_saphyr::from_str(
            "command:
  prepare: { program: sh, args: [-c, 'test ! -e ready && touch ready && echo held'] }
  inject: { program: sh, args: [-c, 'test -e ready && touch broken && echo killed'] }
",
        )
        .unwrap();
        let context = context(folder.path());
        let fault = compile(&spec, &context).ok().unwrap();
        let undo = fault.plan().await.unwrap();
        assert!(!folder.path().join("ready").exists(), "planning changes nothing");
        let begun = context.stopwatch.now();
        let injected = fault.inject(&undo).await.unwrap();
        assert!(injected.issued.run > begun.run);
        assert!(injected.detail.contains("held") && injected.detail.contains("killed"), "{}", injected.detail);
        // What can't be made ready is not broken.
        std::fs::remove_file(folder.path().join("broken")).unwrap();
        let refused = fault.inject(&undo).await.unwrap_err().to_string();
        assert!(refused.contains("test ! -e ready") && !folder.path().join("broken").exists(), "{refused}");
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

//! JUnit XML, for what shows test results.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::harmless::harmless;
use super::phrases::explanation;
use super::{Render, ledger};
use slatest_core::model::Verdict;
use slatest_engine::record::{RunRecord, Status};
use slatest_stats::{DrillEnd, Heal};

/// Every objective is a test case, and so is every check of the run itself and every finding. A
/// fail is a failure; void is an error (the test could not be done); inconclusive is an error too,
/// not a skip: a skipped test lets a pipeline go on, and only a pass opens a gate. A check that only
/// warns is skipped with its words. Where the run is void, nothing that was asked of the target is a pass. The file is one
/// by Jenkins' xUnit schema (junit-10), which is the strictest of its readers.
#[derive(Clone, Copy, Debug)]
pub struct Junit;

impl Render for Junit {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        let result = &run.result;
        let mut report = Report::new(format!("slatest {}", run.plan.profile));
        let length = Duration::from_nanos(result.length.0);
        report.set_time(length);

        let void = result.verdict == Verdict::Void;
        let asked = |verdict: Verdict, message: &str| match (void, verdict) {
            (true, Verdict::Pass) => (Verdict::Void, format!("{}; {message}", explanation(run))),
            _ => (verdict, message.to_owned()),
        };

        let mut objectives = TestSuite::new(format!("{} objectives", run.plan.profile));
        objectives.set_time(length);
        objectives.add_property(("run", run.id.as_str()));
        objectives.add_property(("seed", run.seed.to_string().as_str()));
        objectives.add_property(("target", run.target.name.as_str()));
        objectives.add_property(("verdict", result.verdict.name()));
        for objective in &result.objectives {
            let mut message = format!(
                "{} {} measured {} ({}), {} of {} samples against it",
                objective.indicator,
                objective.bound_text(),
                objective.measured_text(),
                objective.interval_text(),
                objective.bad,
                objective.samples,
            );
            for note in objective.stretch.map(|stretch| stretch.message()).into_iter().chain(objective.notes()) {
                message = format!("{message}: {note}");
            }
            let (verdict, why) = asked(objective.verdict, &message);
            let mut case = TestCase::new(format!("{} {}", objective.name, objective.scope), status(verdict, &why));
            case.set_classname(run.plan.profile.as_str()).set_time(length);
            case.set_system_out(message);
            objectives.add_test_case(case);
        }
        if result.objectives.is_empty() {
            let mut case = TestCase::new("no objectives", status(result.verdict, &explanation(run)));
            case.set_classname(run.plan.profile.as_str()).set_time(length);
            objectives.add_test_case(case);
        }

        let mut validity = TestSuite::new(format!("{} run", run.plan.profile));
        validity.set_time(length);
        let ended = match run.status {
            Status::Finished => TestCaseStatus::success(),
            // It can't pass, whatever its objectives say.
            Status::Interrupted | Status::Running => status(Verdict::Inconclusive, "the run was interrupted"),
            Status::Aborted => status(Verdict::Fail, "an objective with `abort_on_fail` ended the run early"),
        };
        let mut case = TestCase::new("ran to its end", ended);
        case.set_classname("generator").set_time(length);
        validity.add_test_case(case);
        for check in &result.validity {
            let message = format!("{}; must be: {}. {}", check.measured, check.bound, check.message);
            let status = if check.voids() {
                status(Verdict::Void, &message)
            } else if check.holds {
                TestCaseStatus::success()
            } else {
                let mut skipped = TestCaseStatus::skipped();
                skipped.set_message(message.as_str());
                skipped
            };
            let mut case = TestCase::new(check.name.as_str(), status);
            case.set_classname("generator").set_time(length);
            validity.add_test_case(case);
        }
        for finding in &result.findings {
            let verdict = if finding.holds { Verdict::Pass } else { Verdict::Fail };
            let (verdict, why) = asked(verdict, &finding.detail);
            let mut case = TestCase::new(format!("{} {}", finding.scenario, finding.check), status(verdict, &why));
            case.set_classname("findings").set_time(length);
            validity.add_test_case(case);
        }
        report.add_test_suites([objectives]);
        if !result.drills.is_empty() {
            report.add_test_suite(drills(run));
        }
        report.add_test_suites([validity]);
        let text = report.to_string().map_err(io::Error::other)?;
        // The schema knows no `skipped` of all suites together.
        let (head, rest) = text.split_once("<testsuites ").unwrap_or(("", &text));
        let (attributes, rest) = rest.split_once('>').unwrap_or((rest, ""));
        let kept = SKIPPED.iter().fold(attributes.to_owned(), |text, name| without(&text, name));
        write!(out, "{head}<testsuites {kept}>{rest}")
    }
}

/// Attributes of all suites together that the schema has not.
const SKIPPED: [&str; 2] = ["skipped", "disabled"];

/// The attributes without one of them.
fn without(attributes: &str, name: &str) -> String {
    let Some((before, rest)) = attributes.split_once(&format!(" {name}=\"")) else { return attributes.to_owned() };
    format!("{before}{}", rest.split_once('"').map_or("", |(_, after)| after))
}

/// Everything that a drill's objectives ask is a test case; so are the drill itself, its heal, and each ledger.
fn drills(run: &RunRecord) -> TestSuite {
    let mut suite = TestSuite::new(format!("{} drills", run.plan.profile));
    let length = Duration::from_nanos(run.result.length.0);
    suite.set_time(length);
    let void = run.result.verdict == Verdict::Void;
    let asked = |verdict: Verdict| if void && verdict == Verdict::Pass { Verdict::Void } else { verdict };
    for drill in &run.result.drills {
        let mut add = |name: String, verdict: Verdict, text: &str| {
            let mut case = TestCase::new(name, status(asked(verdict), text));
            case.set_classname(drill.name.as_str()).set_time(length);
            case.set_system_out(text);
            suite.add_test_case(case);
        };
        let story = super::drills::story(drill);
        let done = if drill.end == DrillEnd::Watched { Verdict::Pass } else { Verdict::Inconclusive };
        add("was done".into(), done, &story);
        if let Heal::Failed(_) = drill.heal {
            add("was healed".into(), Verdict::Fail, &story);
        }
        for objective in &drill.objectives {
            for part in &objective.parts {
                let message = part.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
                let text = format!("{}; measured {}{message}", part.bound_text(), part.measured);
                add(format!("{} {} {}", objective.name, objective.scope, part.bound_text()), part.verdict, &text);
            }
        }
        for ledger in &drill.ledger {
            let flaws: Vec<String> = ledger::flaws(ledger).into_iter().map(|(_, message)| message).collect();
            let mut text = vec![ledger::head(ledger)];
            text.extend(flaws.iter().cloned());
            text.extend(ledger::lines(ledger));
            let mut case = TestCase::new(
                format!("ledger of {}", ledger.scenario),
                status(asked(ledger.verdict()), &flaws.join("; ")),
            );
            case.set_classname(drill.name.as_str()).set_time(length);
            case.set_system_out(text.join("\n"));
            suite.add_test_case(case);
        }
    }
    suite
}

pub(super) fn status(verdict: Verdict, message: &str) -> TestCaseStatus {
    let kind = match verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Inconclusive | Verdict::Void => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(verdict.name()).set_message(message);
    status
}

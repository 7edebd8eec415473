//! A series as JUnit XML.

use std::io;
use std::time::Duration;

use quick_junit::{Report, TestCase, TestSuite};

use super::{RenderSeries, phrases};
use crate::report::Junit;
use crate::report::harmless::harmless;
use crate::report::junit::status;
use slatest_core::model::Verdict;
use slatest_engine::record::Series;

/// Every repeat is a test case, every recovery objective of each too, and so is the series as a whole.
impl RenderSeries for Junit {
    fn render_series(&self, series: &Series, out: &mut dyn io::Write) -> io::Result<()> {
        let series = &*harmless(series);
        let mut report = Report::new(format!("slatest {} repeated", series.profile));
        report.set_time(Duration::from_nanos(series.length().0));
        let mut whole = TestSuite::new(format!("{} series", series.profile));
        whole.add_property(("series", series.id.as_str()));
        whole.add_property(("seed", series.seed.to_string().as_str()));
        whole.add_property(("target", series.target.name.as_str()));
        whole.add_property(("verdict", series.verdict.name()));
        let mut case = TestCase::new("all repeats", status(series.verdict, &phrases::explanation(series)));
        case.set_classname(series.profile.as_str());
        let said: Vec<String> = series
            .drills
            .iter()
            .flat_map(|drill| {
                let objectives = drill.objectives.iter().flat_map(|objective| {
                    std::iter::once(phrases::asks(objective)).chain(phrases::objective(objective))
                });
                std::iter::once(format!("drill {}", drill.name)).chain(objectives).chain(phrases::notes(drill))
            })
            .collect();
        case.set_system_out(said.join("\n"));
        whole.add_test_case(case);
        for repeat in &series.repeats {
            let mut case = TestCase::new(
                format!("repeat {} ({})", repeat.number, repeat.run),
                status(repeat.verdict, &repeat.message),
            );
            case.set_classname(series.profile.as_str());
            case.set_time(Duration::from_nanos(repeat.length.0));
            whole.add_test_case(case);
        }
        report.add_test_suites([whole]);
        for drill in &series.drills {
            let mut suite = TestSuite::new(format!("{} drill {}", series.profile, drill.name));
            for (repeat, one) in series.drill(&drill.name) {
                for objective in &one.objectives {
                    let verdict = if repeat.verdict == Verdict::Void { Verdict::Void } else { objective.verdict };
                    let parts: Vec<String> = objective
                        .parts
                        .iter()
                        .map(|part| {
                            let message =
                                part.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
                            format!("{}; measured {}{message}", part.bound_text(), part.measured)
                        })
                        .collect();
                    let name = format!("repeat {} {} {}", repeat.number, objective.name, objective.scope);
                    let mut case = TestCase::new(name, status(verdict, &parts.join("; ")));
                    case.set_classname(drill.name.as_str());
                    case.set_system_out(parts.join("\n"));
                    suite.add_test_case(case);
                }
            }
            report.add_test_suite(suite);
        }
        report.serialize(out).map_err(io::Error::other)
    }
}

//! Objectives: which operations each covers, and what it asks of them.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::file::{BoundValue, IndicatorKind, ObjectiveSpec, ProfileFile};
use super::plan::{Aim, ObjectivePlan, OperationPlan};
use super::scenario::LeftOut;
use slatest_core::measure::{Series, Threshold};
use slatest_core::model::{Nanos, OperationId, Percent, Problem, Problems, Rate, Span, suggest};
use slatest_core::source::{Located, Source};

/// Least share that an objective is told by, and least distance of a quantile from 0 and 1: one of ten million. Nearer,
/// no run is long enough, and how long it would have to be takes for ever to reckon.
const SHARE_MIN: f64 = 1e-7;

/// Resolves the objectives of a profile, and gives each operation the thresholds that it needs.
/// Objectives on nothing but scenarios that were left out are noted there.
///
/// # Errors
/// Every mistake.
pub(super) fn resolve(
    source: &Source,
    file: &ProfileFile,
    operations: &mut [OperationPlan],
    left_out: &mut [LeftOut],
) -> Result<Vec<ObjectivePlan>, Problems> {
    let mut problems = Problems::default();
    let mut plans = Vec::with_capacity(file.objectives.len());
    let mut names = BTreeSet::new();
    for (i, spec) in file.objectives.iter().enumerate() {
        let objective = Objective { source, spec, key: format!("objectives[{i}]") };
        if !names.insert(spec.name.as_str()) {
            let message = format!("the objective `{}` is there twice", spec.name);
            problems.0.push(objective.problem(&spec.name, "name", message));
        }
        match objective.resolve(operations, left_out) {
            Ok(Some(plan)) => plans.push(plan),
            Ok(None) => {}
            Err(more) => problems.0.extend(more.0),
        }
    }
    problems.or(plans)
}

/// Checks what can be told without knowing the operations.
///
/// # Errors
/// Every indicator whose keys or bounds don't fit.
pub(super) fn check(source: &Source, file: &ProfileFile) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (i, spec) in file.objectives.iter().enumerate() {
        problems.take(Objective { source, spec, key: format!("objectives[{i}]") }.asked());
    }
    problems.or(())
}

struct Objective<'a> {
    source: &'a Source,
    spec: &'a Located<ObjectiveSpec>,
    key: String,
}

/// What an indicator is asked to keep, before it is tied to operations.
enum Asked {
    Quantile { of: String, quantile: f64, below: Nanos },
    ErrorRate { below: f64 },
    Ratio { of: String, above: f64 },
    Throughput { above: f64 },
}

impl Objective<'_> {
    fn problem<T>(&self, at: &Located<T>, key: &str, message: impl Into<String>) -> Problem {
        self.source.problem_at(at, format!("{}.{key}", self.key), message)
    }

    fn resolve(
        &self,
        operations: &mut [OperationPlan],
        left_out: &mut [LeftOut],
    ) -> Result<Option<ObjectivePlan>, Problems> {
        let mut problems = Problems::default();
        let asked = problems.take(self.asked());
        let scope = Scope { source: self.source, written: &self.spec.scope, key: format!("{}.scope", self.key) };
        let says = "so the objective would say nothing";
        let scope = problems.take(scope.operations(&self.spec.name, says, operations, left_out));
        let (Some(asked), Some(scope)) = (asked, scope) else { return Err(problems) };
        if scope.is_empty() {
            return Ok(None);
        }
        let scope = scope.into_iter().map(OperationId::index).collect();
        let (ids, aim) = self.tie(asked, scope, operations)?;
        Ok(Some(ObjectivePlan {
            name: self.spec.name.value.clone(),
            scope: self.spec.scope.value.clone(),
            operations: ids,
            each: self.spec.each.is_some(),
            abort_after: self.spec.abort_on_fail.as_ref().and_then(|abort| abort.value.delay()),
            aim,
        }))
    }

    /// Reads the indicator with the keys that go with it.
    fn asked(&self) -> Result<Asked, Problems> {
        let spec = self.spec;
        let mut problems = Problems::default();
        let kind = spec.indicator.value;
        let takes: &[&str] = match kind {
            IndicatorKind::ResponseTime | IndicatorKind::ServiceTime => &["quantile", "below"],
            IndicatorKind::Timing => &["timing", "quantile", "below"],
            IndicatorKind::ErrorRate => &["below"],
            IndicatorKind::Ratio => &["ratio", "above"],
            IndicatorKind::Throughput => &["above"],
        };
        macro_rules! written {
            ($($key:ident),+) => {
                [$((stringify!($key), spec.$key.as_ref().map(|v| Located { value: (), line: v.line, column: v.column }))),+]
            };
        }
        for (key, at) in written!(quantile, timing, ratio, below, above) {
            match at {
                Some(at) if !takes.contains(&key) => {
                    let message = format!("`{key}` doesn't go with this indicator, which takes {}", takes.join(", "));
                    problems.0.push(self.problem(&at, key, message));
                }
                None if takes.contains(&key) => {
                    let message = format!("this indicator needs `{key}`");
                    problems.0.push(self.problem(&spec.indicator, key, message));
                }
                _ => {}
            }
        }
        if let Some(quantile) = &spec.quantile
            && !(SHARE_MIN..=1.0 - SHARE_MIN).contains(&quantile.value)
        {
            let message = if quantile.value > 0.0 && quantile.value < 1.0 {
                format!("a quantile must lie from {SHARE_MIN} to {}: {quantile}", 1.0 - SHARE_MIN)
            } else {
                format!("a quantile must lie between 0 and 1, and be neither: {quantile}")
            };
            problems.0.push(self.problem(quantile, "quantile", message).with_help("write the 95th percentile as 0.95"));
        }
        if let Some(abort) = &spec.abort_on_fail
            && kind == IndicatorKind::Throughput
            && abort.value.delay().is_some()
        {
            let message = "a throughput is a figure of the whole run and can't end it early";
            let help = "put `abort_on_fail` on the error rate or on a time";
            problems.0.push(self.problem(abort, "abort_on_fail", message).with_help(help));
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let quantile = spec.quantile.as_ref().map(|q| q.value).unwrap_or_default();
        let name = |name: &Option<Located<String>>| name.as_ref().map(|n| n.value.clone()).unwrap_or_default();
        match kind {
            IndicatorKind::ResponseTime | IndicatorKind::ServiceTime | IndicatorKind::Timing => {
                let below = self.duration()?;
                let of = match kind {
                    IndicatorKind::ResponseTime => "response_time".to_owned(),
                    IndicatorKind::ServiceTime => "service_time".to_owned(),
                    _ => name(&spec.timing),
                };
                Ok(Asked::Quantile { of, quantile, below })
            }
            IndicatorKind::ErrorRate => {
                self.share(spec.below.as_ref(), "below").map(|below| Asked::ErrorRate { below })
            }
            IndicatorKind::Ratio => {
                let above = self.share(spec.above.as_ref(), "above")?;
                Ok(Asked::Ratio { of: name(&spec.ratio), above })
            }
            IndicatorKind::Throughput => match &spec.above {
                Some(Located { value: BoundValue::Rate(Rate(above)), .. }) if *above > 0.0 => {
                    Ok(Asked::Throughput { above: *above })
                }
                other => Err(self.bound(other.as_ref(), "above", "a rate above zero, like 300/s")),
            },
        }
    }

    fn duration(&self) -> Result<Nanos, Problems> {
        match &self.spec.below {
            Some(Located { value: BoundValue::Duration(Span(below)), .. }) => Ok(*below),
            other => Err(self.bound(other.as_ref(), "below", "a duration, like 500ms")),
        }
    }

    fn share(&self, bound: Option<&Located<BoundValue>>, key: &str) -> Result<f64, Problems> {
        match bound {
            Some(Located { value: BoundValue::Share(Percent(share)), .. })
                if (SHARE_MIN..=1.0 - SHARE_MIN).contains(share) =>
            {
                Ok(*share)
            }
            other => Err(self.bound(
                other,
                key,
                "a share above 0% and under 100%, like 0.1% (0.00001% is the least that can be told)",
            )),
        }
    }

    fn bound(&self, bound: Option<&Located<BoundValue>>, key: &str, wanted: &str) -> Problems {
        let message = format!("the bound of this indicator must be {wanted}");
        match bound {
            Some(bound) => self.problem(bound, key, message).into(),
            None => self.problem(self.spec, key, message).into(),
        }
    }

    /// Ties it to operations. Of those in scope, the ones that don't report what is asked fall away;
    /// when none is left, that is a mistake.
    fn tie(
        &self,
        asked: Asked,
        scope: Vec<usize>,
        operations: &mut [OperationPlan],
    ) -> Result<(Vec<OperationId>, Aim), Problems> {
        let all = || scope.iter().map(|&i| id(i)).collect();
        match asked {
            Asked::ErrorRate { below } => Ok((all(), Aim::ErrorRate { below })),
            Asked::Throughput { above } => Ok((all(), Aim::Throughput { above })),
            Asked::Quantile { of, quantile, below } => {
                let series = |operation: &OperationPlan| match self.spec.indicator.value {
                    IndicatorKind::ServiceTime => Some(Series::ServiceTime),
                    IndicatorKind::Timing => {
                        let index = operation.timings.iter().position(|timing| *timing == of)?;
                        u8::try_from(index).ok().map(Series::Timing)
                    }
                    _ => Some(Series::ResponseTime),
                };
                let tied: Vec<(usize, Series)> =
                    scope.iter().filter_map(|&i| Some((i, series(&operations[i])?))).collect();
                if tied.is_empty() {
                    let known = scope.iter().flat_map(|&i| &operations[i].timings);
                    return Err(self.unreported("timing", &of, self.spec.timing.as_ref(), known));
                }
                let ids = tied.iter().map(|&(i, _)| id(i)).collect();
                let thresholds = tied.into_iter().map(|(i, series)| {
                    let threshold = Threshold { series, limit: below };
                    let thresholds = &mut operations[i].thresholds;
                    thresholds.iter().position(|known| *known == threshold).unwrap_or_else(|| {
                        thresholds.push(threshold);
                        thresholds.len() - 1
                    })
                });
                let thresholds = thresholds.collect();
                Ok((ids, Aim::Quantile { of, thresholds, quantile, below }))
            }
            Asked::Ratio { of, above } => {
                let index = |&i: &usize| Some((i, operations[i].ratios.iter().position(|ratio| *ratio == of)?));
                let tied: Vec<(usize, usize)> = scope.iter().filter_map(index).collect();
                if tied.is_empty() {
                    let known = scope.iter().flat_map(|&i| &operations[i].ratios);
                    return Err(self.unreported("ratio", &of, self.spec.ratio.as_ref(), known));
                }
                let ids = tied.iter().map(|&(i, _)| id(i)).collect();
                Ok((ids, Aim::Ratio { of, ratios: tied.into_iter().map(|(_, ratio)| ratio).collect(), above }))
            }
        }
    }

    fn unreported<'k>(
        &self,
        key: &str,
        written: &str,
        at: Option<&Located<String>>,
        known: impl Iterator<Item = &'k String>,
    ) -> Problems {
        let known: BTreeSet<&str> = known.map(String::as_str).collect();
        let message = format!("no operation in `{}` reports a {key} `{written}`", self.spec.scope);
        let help = suggest(written, known);
        match at {
            Some(at) => self.problem(at, key, message).with_help(help).into(),
            None => self.problem(self.spec, key, message).with_help(help).into(),
        }
    }
}

/// The operations that a pattern covers.
pub(super) struct Scope<'a> {
    pub(super) source: &'a Source,
    pub(super) written: &'a Located<String>,
    /// Where it is written.
    pub(super) key: String,
}

impl Scope<'_> {
    /// Operations in scope; none when all that it covers were left out, and then `name` is noted there.
    /// `says` is what comes of a scope that covers nothing.
    pub(super) fn operations(
        &self,
        name: &str,
        says: &str,
        operations: &[OperationPlan],
        left_out: &mut [LeftOut],
    ) -> Result<Vec<OperationId>, Problems> {
        let written = self.written;
        let problem = |message: String| self.source.problem_at(written, self.key.as_str(), message);
        let pattern = pattern(written).map_err(|e| problem(format!("`{written}` is no pattern: {e}")))?;
        // What each user does once is judged only where it is named.
        let named = |operation: &OperationPlan| !operation.once || operation.address == written.as_str();
        let matching = |(i, operation): (usize, &OperationPlan)| {
            (named(operation) && pattern.is_match(&operation.address)).then(|| id(i))
        };
        let found: Vec<OperationId> = operations.iter().enumerate().filter_map(matching).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let covers =
            |gone: &LeftOut| gone.operations.iter().any(|op| pattern.is_match(format!("{}/{op}", gone.scenario)));
        let mut excused = false;
        for gone in left_out.iter_mut().filter(|gone| covers(gone)) {
            gone.objectives.push(name.to_owned());
            excused = true;
        }
        if excused {
            return Ok(found);
        }
        let known = operations.iter().map(|operation| operation.address.as_str());
        let all = known.clone().collect::<Vec<_>>().join(", ");
        // The part that is wrong is the scenario, or else the operation.
        let scenarios = operations.iter().filter_map(|operation| operation.address.split_once('/'));
        let meant = written.split_once('/').and_then(|(scenario, rest)| {
            if scenarios.clone().any(|(known, _)| known == scenario) {
                return None;
            }
            let near = slatest_core::model::nearest(scenario, scenarios.clone().map(|(known, _)| known))?;
            Some(format!("{near}/{rest}"))
        });
        let meant = meant.as_deref().filter(|meant| {
            let fits = |glob: GlobMatcher| operations.iter().any(|operation| glob.is_match(&operation.address));
            self::pattern(meant).is_ok_and(fits)
        });
        let help = match meant.or_else(|| slatest_core::model::nearest(written, known)) {
            Some(near) => format!("did you mean `{near}`? There is {all}"),
            None => format!("there is {all}"),
        };
        Err(problem(format!("`{written}` matches no operation, {says}")).with_help(help).into())
    }
}

fn id(index: usize) -> OperationId {
    OperationId(u16::try_from(index).unwrap_or(u16::MAX))
}

/// `*` matches any text, also across the slash: `*` alone is every operation.
fn pattern(written: &str) -> Result<GlobMatcher, globset::Error> {
    Glob::new(written).map(|glob| glob.compile_matcher())
}

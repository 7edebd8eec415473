//! What is measured: which probe does what, how often it is asked, and for how long.

use super::act::Act;
use super::law::Law;
use slatest_core::model::{Nanos, Percent, Rate, Span};

/// Seed of everything that is drawn: the same truths each time.
const SEED: u64 = 20_261_121;
/// The probe by which the overhead is told, and its constant time.
pub(super) const REFERENCE: (&str, Nanos) = ("reference", Nanos::from_millis(1));
/// The share of errors that is planted.
pub(super) const ERRORS: f64 = 0.08;
/// Name of the scenario whose errors are planted.
pub(super) const FAILING: &str = "failing";
/// Name of the scenario that asks as an omitting harness does.
pub(super) const CLOSED_LOOP: &str = "closed-loop";
/// Objectives of the first act, of which it is known how they end.
pub(super) const PROMISES: [&str; 3] = ["kept", "broken", "untold"];

const fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// One law, at one probe, with the quantiles that are compared.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Name of its scenario.
    pub name: &'static str,
    /// Number of its probe.
    pub probe: u8,
    /// What it does.
    pub law: Law,
    /// Which of its quantiles are compared.
    pub quantiles: &'static [f64],
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Sent before anything is judged.
    warm_up: Nanos,
    /// How long the laws are measured.
    laws: Nanos,
    /// Requests per second to each of them.
    rate: f64,
    /// How long the freezes are measured: whole periods of both.
    freezes: Nanos,
    /// The rare freeze: 2 s in every 100 s, at a smaller scale that keeps its law.
    rare: (Nanos, Nanos),
    /// Requests per second to each frozen probe; a period is a whole number of gaps.
    pub(super) freeze_rate: f64,
    /// Users of the closed loop, and the pause that makes them ask as often.
    users: (u64, Nanos),
}

impl Size {
    /// What `selftest` does by default: about a minute.
    pub const FULL: Self = Self {
        warm_up: ms(2_000),
        laws: ms(20_000),
        rate: 250.0,
        freezes: ms(25_000),
        rare: (ms(500), ms(25_000)),
        freeze_rate: 200.0,
        users: (16, ms(80)),
    };
    /// Lighter and shorter: for a build without optimisation, or a machine with other work. Bounds are
    /// wider, for there are fewer samples.
    pub const SHORT: Self = Self {
        warm_up: ms(1_000),
        laws: ms(8_000),
        rate: 60.0,
        freezes: ms(10_000),
        rare: (ms(200), ms(10_000)),
        freeze_rate: 40.0,
        users: (4, ms(100)),
    };

    pub(super) fn law_cases(self) -> Vec<Case> {
        let usual = &[0.5, 0.9, 0.99];
        let case = |name, probe, law| Case { name, probe, law, quantiles: usual };
        vec![
            case("constant", 2, Law::Constant(ms(20))),
            case("uniform", 3, Law::Uniform(ms(5), ms(55))),
            case("log-normal", 4, Law::LogNormal { median: ms(20), sigma: 0.5 }),
            case("bimodal", 5, Law::Bimodal { usual: ms(10), slow: ms(80), share: 0.05 }),
        ]
    }

    pub(super) fn freeze_cases(self) -> Vec<Case> {
        let (length, period) = self.rare;
        vec![
            Case {
                name: "frozen",
                probe: 7,
                law: Law::Freeze { length: ms(1_000), period: ms(5_000) },
                quantiles: &[0.9, 0.95, 0.99],
            },
            Case { name: "rarely-frozen", probe: 8, law: Law::Freeze { length, period }, quantiles: &[0.99, 0.995] },
        ]
    }
}

/// Flags of the sandbox that serves all of them.
pub fn behaviour_flags(size: Size) -> Vec<String> {
    // The smallest part: probes are always there.
    let mut flags: Vec<String> = ["--only", "redis", "--behaviour-seed"].map(Into::into).into();
    flags.push(SEED.to_string());
    let (_, constant) = REFERENCE;
    let mut say = |(flag, value): (&str, String), probe: u8| {
        flags.extend([flag.to_owned(), format!("probe-{probe}={value}")]);
    };
    say(Law::Constant(constant).flag(), 1);
    say(("--error-rate", format!("{}:503", Percent(ERRORS))), 6);
    for case in size.law_cases().iter().chain(&size.freeze_cases()) {
        say(case.law.flag(), case.probe);
    }
    flags
}

/// The laws, the errors and the promises.
pub fn laws(size: Size) -> Act {
    let constant = |name: &str, workload: u8, law: &str| {
        format!(
            "  {name}: {{ workload: probe-{workload}, executor: constant-arrival-rate, arrivals: {law}, rate: {}, \
             duration: {}, warm_up: {}, max_in_flight: 2000 }}\n",
            Rate(size.rate),
            Span(size.warm_up + size.laws),
            Span(size.warm_up),
        )
    };
    let mut profile = head("selftest-laws");
    profile.push_str(&constant(REFERENCE.0, 1, "poisson"));
    profile.push_str(&constant(FAILING, 6, "poisson"));
    for case in size.law_cases() {
        profile.push_str(&constant(case.name, case.probe, "poisson"));
    }
    let [kept, broken, untold] = PROMISES;
    profile.push_str("objectives:\n");
    let objectives = [
        format!("{{ name: {kept}, scope: log-normal/*, indicator: response_time, quantile: 0.95, below: 500ms }}"),
        format!("{{ name: {broken}, scope: {FAILING}/*, indicator: error_rate, below: 1% }}"),
        format!("{{ name: {untold}, scope: uniform/*, indicator: response_time, quantile: 0.99999, below: 500ms }}"),
    ];
    for objective in objectives {
        profile.push_str(&format!("  - {objective}\n"));
    }
    Act::new("laws", profile, size.warm_up + size.laws)
}

/// The freezes, asked in both ways.
pub fn freezes(size: Size) -> Act {
    let length = size.warm_up + size.freezes;
    let open = |name: &str, probe: u8, rate: f64, law: &str| {
        format!(
            "  {name}: {{ workload: probe-{probe}, executor: constant-arrival-rate, arrivals: {law}, rate: {}, \
             duration: {}, warm_up: {}, max_in_flight: 2000 }}\n",
            Rate(rate),
            Span(length),
            Span(size.warm_up),
        )
    };
    let mut profile = head("selftest-freezes");
    profile.push_str(&open(REFERENCE.0, 1, size.rate, "poisson"));
    for case in size.freeze_cases() {
        profile.push_str(&open(case.name, case.probe, size.freeze_rate, "uniform"));
    }
    let (users, think) = size.users;
    profile.push_str(&format!(
        "  {CLOSED_LOOP}: {{ workload: probe-7, executor: constant-vus, vus: {users}, think: {}, duration: {}, \
         warm_up: {} }}\n",
        Span(think),
        Span(length),
        Span(size.warm_up),
    ));
    Act::new("freezes", profile, length)
}

/// A plain plan for a generator that is going to be throttled.
pub(super) fn throttled_profile() -> String {
    let mut profile = head("selftest-throttled");
    profile.push_str(&format!(
        "  {}: {{ workload: probe-1, executor: constant-arrival-rate, rate: 200/s, duration: 4s }}\n",
        REFERENCE.0
    ));
    profile.push_str(
        "objectives:\n  - { name: p95, scope: '*/*', indicator: response_time, quantile: 0.95, below: 100ms }\n",
    );
    profile
}

fn head(name: &str) -> String {
    format!("name: {name}\nseed: {SEED}\ngraceful_stop: 10s\nscenarios:\n")
}

/// A workload for each probe: (file name, text).
pub(super) fn workloads() -> impl Iterator<Item = (String, String)> {
    (1..=8).map(|probe| {
        let text = format!(
            "name: probe-{probe}\ndriver: http\nendpoint: api\noperations:\n  - {{ name: ask, timeout: 10s, request: \
             {{ get: /probe/{probe} }}, check: {{ status: 200 }} }}\n"
        );
        (format!("probe-{probe}.yaml"), text)
    })
}

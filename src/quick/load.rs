//! How much is sent, for how long, and what must hold: the same words for each protocol.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::commands::Telling;
use slatest_core::model::{Nanos, Percent, Rate, Span};

/// Longest warm-up that is taken unasked.
const WARM_UP_MAX: Nanos = Nanos::from_secs(5);

/// Arguments that each protocol has.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Arrivals per second, sent whether or not earlier ones are answered (open model) [default: 50/s]
    #[arg(short, long, value_name = "RATE", conflicts_with = "users")]
    pub rate: Option<Rate>,
    /// Instead of a rate: so many users, each of whom sends again as soon as it has its answer (closed model)
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub users: Option<u64>,
    /// How long, warm-up included
    #[arg(short, long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(30)))]
    pub duration: Span,
    /// Sent first and not judged [default: a tenth of the duration, at most 5s]
    #[arg(long, value_name = "DURATION")]
    pub warm_up: Option<Span>,
    /// Longest that one request may take
    #[arg(long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(10)))]
    pub timeout: Span,
    /// 95 of 100 response times must be below this
    #[arg(long, value_name = "DURATION")]
    pub p95: Option<Span>,
    /// 99 of 100 response times must be below this
    #[arg(long, value_name = "DURATION")]
    pub p99: Option<Span>,
    /// The share of failures must be below this: 0.1%
    #[arg(long, value_name = "SHARE")]
    pub errors: Option<Percent>,
    /// A host that is not this machine, to which you may send load; more than one is allowed
    #[arg(long, value_name = "HOST")]
    pub allow: Vec<String>,
    /// Seed of every random choice: the same seed repeats a run exactly
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Where the results go, in a folder of their own
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub out: PathBuf,
    #[command(flatten)]
    pub telling: Telling,
    /// Sends nothing: writes the profile, workload and target that say the same into this folder
    #[arg(long, value_name = "FOLDER")]
    pub save: Option<PathBuf>,
}

impl LoadArgs {
    /// Whether load may go to a host.
    pub(super) fn allows(&self, host: &str) -> bool {
        self.allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// The profile that says the same.
    pub(super) fn profile(&self, name: &str) -> Value {
        let unasked = Nanos((self.duration.0.0 / 10).min(WARM_UP_MAX.0));
        let warm_up = self.warm_up.map_or(unasked, |span| span.0);
        let mut scenario = Map::new();
        scenario.insert("workload".into(), json!(name));
        match self.users {
            Some(users) => {
                scenario.insert("executor".into(), json!("constant-vus"));
                scenario.insert("vus".into(), json!(users));
            }
            None => {
                scenario.insert("executor".into(), json!("constant-arrival-rate"));
                scenario.insert("arrivals".into(), json!("poisson"));
                scenario.insert("rate".into(), json!(self.rate.unwrap_or(Rate(50.0))));
            }
        }
        scenario.insert("duration".into(), json!(self.duration));
        if warm_up > Nanos::ZERO {
            scenario.insert("warm_up".into(), json!(Span(warm_up)));
        }
        let scope = format!("{name}/*");
        let quantile = |name: &str, quantile: f64, below: Span| json!({ "name": name, "scope": scope, "indicator": "response_time", "quantile": quantile, "below": below });
        let mut objectives = Vec::new();
        objectives.extend(self.p95.map(|below| quantile("p95", 0.95, below)));
        objectives.extend(self.p99.map(|below| quantile("p99", 0.99, below)));
        objectives.extend(
            self.errors
                .map(|below| json!({ "name": "errors", "scope": scope, "indicator": "error_rate", "below": below })),
        );
        let mut profile = Map::new();
        profile.insert("name".into(), json!(name));
        profile.extend(self.seed.map(|seed| ("seed".to_owned(), json!(seed))));
        profile.insert("scenarios".into(), json!({ name: scenario }));
        profile.insert("objectives".into(), json!(objectives));
        Value::Object(profile)
    }
}

//! Diagnostics on stderr, for those who look into slatest itself.

use slatest_core::say;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;

/// The variable that says how much: a level, or `slatest_engine::load=debug,info`.
const VARIABLE: &str = "SLATEST_LOG";
/// Whose events are shown, by the first part of their target: those of our crates (`slatest`, `slatest_engine`, …), and what our Kafka driver passes on. Protocol libraries write whole
/// requests, headers and connection strings into theirs, and credentials with them, so theirs are
/// not shown at any level.
const OURS: [&str; 2] = ["slatest", "librdkafka"];

/// Starts writing events, warnings and worse unless `SLATEST_LOG` says otherwise.
pub fn start() {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let filter = filter(&wanted).unwrap_or_else(|reason| {
        say!("slatest: {VARIABLE}: {reason}; using warn");
        Targets::new().with_default(LevelFilter::WARN)
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // It would say so with a print that panics.
        .log_internal_errors(false)
        .with_ansi(console::colors_enabled_stderr())
        .with_filter(filter)
        .with_filter(filter_fn(|event| is_ours(event.target())));
    // Fails only when there is one already, which is then somebody's wish.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

fn filter(wanted: &str) -> Result<Targets, String> {
    if wanted.trim().is_empty() {
        return Ok(Targets::new().with_default(LevelFilter::WARN));
    }
    wanted.parse().map_err(|e| format!("`{wanted}` is no level (off, error, warn, info, debug, trace): {e}"))
}

fn is_ours(target: &str) -> bool {
    let crate_name = target.split("::").next().unwrap_or_default();
    OURS.contains(&crate_name) || crate_name.starts_with("slatest_")
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn no_library_is_heard_whatever_the_level() {
        for target in ["slatest", "slatest_engine::load::judge", "librdkafka"] {
            assert!(is_ours(target), "{target}");
        }
        for target in ["sqlx::query", "hyper", "h2::codec", "lapin", "slatestx", "log"] {
            assert!(!is_ours(target), "{target}");
        }
    }

    #[test]
    fn levels_and_targets_are_read() {
        let quiet = filter("").unwrap();
        assert!(
            quiet.would_enable("slatest::commands", &Level::WARN)
                && !quiet.would_enable("slatest::commands", &Level::INFO)
        );
        let some = filter("slatest_engine::load=debug,error").unwrap();
        assert!(some.would_enable("slatest_engine::load::lane", &Level::DEBUG));
        assert!(!some.would_enable("slatest_engine::record", &Level::WARN));
        assert!(filter("slatest=loud").unwrap_err().contains("slatest=loud"));
    }
}

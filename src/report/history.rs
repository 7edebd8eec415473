//! Runs beside each other and night after night, as text of 80 columns.

use std::io::{self, Write};

use jiff::Timestamp;

use super::over_time::spark;
use super::phrases::plain;
use super::text::{align_right, table};
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::Status;
use slatest_history::{Comparison, Course, Figure, Listed, Row, Runs, Trend};
use slatest_stats::{Compared, NightShift, Reading};

/// Widest name of an operation that is shown whole.
const NAME_MAX: usize = 26;
/// Nights of a sparkline.
const SPARK_MAX: usize = 20;

/// The runs of a folder.
///
/// # Errors
/// When `out` doesn't take it.
pub fn runs(runs: &Runs, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = table(&["started (UTC)", "profile", "target", "says", "/s", "errors", "p95", "p99"]);
    for run in &runs.runs {
        rows.add_row([
            when(run.started),
            shortened(&run.profile, 18),
            shortened(&run.target, 10),
            says(run).to_owned(),
            format!("{:.0}", run.rate),
            run.error_rate.map_or_else(|| "-".into(), |share| Reading::Share(share).to_string()),
            time(run.p95_secs),
            time(run.p99_secs),
        ]);
    }
    align_right(&mut rows, &[4, 5, 6, 7]);
    for line in rows.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    let profiles: Vec<(&str, &str)> = runs.runs.iter().map(|run| (run.profile.as_str(), run.target.as_str())).collect();
    let mut seen = Vec::new();
    for (profile, target) in profiles {
        if seen.contains(&(profile, target)) {
            continue;
        }
        seen.push((profile, target));
        let own: Vec<f64> = runs
            .runs
            .iter()
            .filter(|run| run.profile == profile && run.target == target && run.verdict != Verdict::Void)
            .filter_map(|run| run.p95_secs)
            .collect();
        if own.len() > 2 {
            let last = &own[own.len().saturating_sub(SPARK_MAX)..];
            writeln!(out, "\n{} on {}: p95 {}", plain(profile), plain(target), spark(last))?;
        }
    }
    for reason in &runs.unreadable {
        writeln!(out, "\nleft out: {}", plain(reason))?;
    }
    Ok(())
}

/// Two runs beside each other.
///
/// # Errors
/// When `out` doesn't take it.
pub fn comparison(found: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n{}\n", plain(&found.before), plain(&found.after))?;
    let mut rows = table(&["", "before", "after", "change", "95 %", "", "shows"]);
    for row in &found.rows {
        let (change, interval) = change(row);
        rows.add_row([
            row.figure.to_string(),
            figure(row, row.before),
            figure(row, row.after),
            change,
            interval,
            name(row.compared).to_owned(),
            row.could_show.map_or_else(|| "-".into(), |least| amount(row, least).trim_start_matches('+').to_owned()),
        ]);
    }
    align_right(&mut rows, &[1, 2, 3, 6]);
    let mut lines = rows.lines();
    writeln!(out, "{}", lines.next().unwrap_or_default().trim_end())?;
    let mut above = None;
    for (row, line) in found.rows.iter().zip(lines) {
        // The name stands above its figures, however long it is.
        if above.replace(&row.address) != Some(&row.address) {
            writeln!(out, "{}", plain(&row.address))?;
        }
        writeln!(out, " {}", line.trim_end())?;
    }
    writeln!(out, "\n`shows` is the smallest change that would have been told nine times in ten.")?;
    for address in &found.alone {
        writeln!(out, "only one of them has {}", plain(address))?;
    }
    for one in &found.conditions {
        writeln!(out, "NOT ALIKE: {}: {} → {}", one.what, plain(&one.before), plain(&one.after))?;
    }
    let count = |wanted: Compared| found.rows.iter().filter(|row| row.compared == wanted).count();
    writeln!(
        out,
        "\n{}  {} worse, {} better, {} the same, {} can't be told, of {} figures",
        name(found.compared),
        count(Compared::Worse),
        count(Compared::Better),
        count(Compared::Same),
        count(Compared::CannotSay),
        found.rows.len()
    )
}

/// A profile night after night.
///
/// # Errors
/// When `out` doesn't take it.
pub fn trend(found: &Trend, out: &mut dyn Write) -> io::Result<()> {
    let nights = found.nights.len();
    write!(out, "{} on {}: {nights} nights", plain(&found.profile), plain(&found.target))?;
    if let [first, .., last] = found.nights.as_slice() {
        write!(out, ", {} to {}", when(*first), when(*last))?;
    }
    writeln!(out)?;
    if found.left_out > 0 {
        writeln!(out, "{} more say nothing (void, or not whole)", found.left_out)?;
    }
    if let Some((at, changes)) = &found.changed {
        let what: Vec<&str> = changes.iter().map(|one| one.what).collect();
        writeln!(out, "looked at since {}: then the {} changed", when(*at), what.join(" and the "))?;
    }
    writeln!(out)?;
    let mut rows = table(&["operation", "p95 of each night", "tonight", "says", "shows"]);
    for course in &found.courses {
        let last = &course.p95_secs[course.p95_secs.len().saturating_sub(SPARK_MAX)..];
        let (message, shows) = shift(course);
        rows.add_row([
            shortened(&course.address, NAME_MAX),
            spark(last),
            time(course.p95_secs.last().copied()),
            message,
            shows,
        ]);
    }
    align_right(&mut rows, &[2, 4]);
    for line in rows.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    for reason in &found.unreadable {
        writeln!(out, "\nleft out: {}", plain(reason))?;
    }
    writeln!(out, "\n`shows` is the smallest slowing-down of the last three nights that would be told.")?;
    if found.courses.iter().any(|course| matches!(course.shift, NightShift::Suspect(_))) {
        writeln!(out, "SUSPECT: run it once more before anybody is woken, then: slatest trend … --again latest")?;
    }
    Ok(())
}

/// What the last nights of an operation say, and what they could have shown.
fn shift(course: &Course) -> (String, String) {
    let more = |ratio: f64| Reading::Share(ratio - 1.0).to_string();
    match course.shift {
        NightShift::TooFew { nights, needed } => (format!("{nights} of {needed} nights"), "-".into()),
        NightShift::Steady(facts) => ("steady".into(), more(facts.could_show)),
        NightShift::Warning(facts) => (format!("warning: +{} tonight", more(facts.tonight)), more(facts.could_show)),
        NightShift::Suspect(facts) => (format!("SUSPECT: +{}", more(facts.ratio)), more(facts.could_show)),
        NightShift::Slower(facts) => (format!("SLOWER: +{}", more(facts.ratio)), more(facts.could_show)),
    }
}

fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

const fn says(run: &Listed) -> &'static str {
    match run.status {
        Status::Running => "not whole",
        Status::Interrupted => "interrupted",
        Status::Finished | Status::Aborted => run.verdict.name(),
    }
}

/// Which way a comparison went, in a word.
pub const fn name(compared: Compared) -> &'static str {
    match compared {
        Compared::Worse => "WORSE",
        Compared::Better => "better",
        Compared::Same => "same",
        Compared::CannotSay => "can't say",
    }
}

fn time(secs: Option<f64>) -> String {
    secs.map_or_else(|| "-".into(), |secs| Nanos::from_secs_f64(secs).to_string())
}

fn figure(row: &Row, value: f64) -> String {
    match row.figure {
        Figure::ErrorRate => Reading::Share(value).to_string(),
        Figure::P50 | Figure::P95 | Figure::P99 => time(Some(value)),
    }
}

/// A change with its sign: of times a share, of a share of failures its own difference.
fn amount(row: &Row, value: f64) -> String {
    let digits = if row.figure == Figure::ErrorRate { 2 } else { 0 };
    // What is nothing has no sign.
    let value = if (value * 100.0).abs() < 0.5 / 10_f64.powi(digits) { 0.0 } else { value };
    format!("{:+.*}%", usize::try_from(digits).unwrap_or_default(), value * 100.0)
}

/// The change and its interval.
fn change(row: &Row) -> (String, String) {
    let (Some(change), Some(lower), Some(upper)) = (row.change, row.lower, row.upper) else {
        return ("-".into(), "too few samples".into());
    };
    (amount(row, change), format!("{} to {}", amount(row, lower), amount(row, upper)))
}

fn shortened(name: &str, most: usize) -> String {
    let name = plain(name);
    if name.chars().count() <= most {
        return name;
    }
    let kept: String = name.chars().take(most - 1).collect();
    format!("{kept}…")
}

use super::RenderSeries;
use crate::report::{Json, Junit, Markdown, Text};
use slatest_engine::record::series_sample::{Plot, ended, series};
use slatest_engine::record::{EndedEarly, Series};

fn shown(series: &Series, format: &dyn RenderSeries) -> String {
    let mut out = Vec::new();
    format.render_series(series, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Twelve repeats of which one took too long, one was too near to the target, one did nothing and one was void.
fn night() -> Series {
    let mut plots = vec![
        Plot::Down(12_000, 0),
        Plot::Down(9_000, 0),
        Plot::Down(29_500, 0),
        Plot::Nothing,
        Plot::Down(14_000, 2),
        Plot::Void(11_000),
        Plot::Never,
    ];
    plots.extend([Plot::Down(11_000, 0); 5]);
    ended(12, &plots)
}

#[test]
fn on_a_terminal() {
    insta::assert_snapshot!(shown(&night(), &Text { color: false }));
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(shown(&night(), &Markdown));
}

#[test]
fn as_junit() {
    let series = ended(3, &[Plot::Down(12_000, 0), Plot::Down(40_000, 0), Plot::Void(11_000)]);
    insta::assert_snapshot!(shown(&series, &Junit));
}

#[test]
fn as_json_it_can_be_read_again() {
    let night = night();
    assert_eq!(serde_json::from_str::<Series>(&shown(&night, &Json)).unwrap(), night);
}

#[test]
fn what_was_killed_left_broken_or_never_begun_is_said() {
    // Lines are broken where they are long.
    let text = |series: &Series| {
        let text = shown(series, &Text { color: false });
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut killed = series(20, &[Plot::Down(12_000, 0)]);
    killed.begin(2, 77, "20261121T010200Z-drill-database-5a1e57".into());
    let killed = text(&killed);
    assert!(killed.contains("did not come to its end") && killed.contains("drills.jsonl"), "{killed}");
    assert!(killed.contains("19 of 20 were not made, so it can't pass"), "{killed}");
    let mut broken = series(20, &[Plot::Down(12_000, 0)]);
    broken.end("2026-11-21T01:40:00Z".parse().unwrap(), Some(EndedEarly::LeftBroken("port 5432\u{1b}[2J".into())));
    let broken = text(&broken);
    assert!(broken.starts_with("FAIL") && broken.contains("THE TARGET IS NOT SOUND: port 5432\\u{1b}[2J"), "{broken}");
    let none = text(&series(3, &[]));
    assert!(none.contains("no repeat was made"), "{none}");
}

#[test]
fn a_long_series_shows_its_latest_and_lines_fit_a_terminal() {
    let series = ended(300, &[Plot::Down(12_000, 0); 300]);
    let text = shown(&series, &Text { color: false });
    assert!(text.contains("(200 earlier ones stand in series.json)") && text.lines().count() < 140, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

//! What a person sees while a run is under way: a line that lives on a terminal, a line every ten
//! seconds where there is none.

use std::collections::VecDeque;
use std::io::{self, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::phrases::{grouped, length, plain};
use slatest_core::measure::{Latencies, Window};
use slatest_core::model::{Nanos, Outcome};
use slatest_engine::load::{Event, Phase};
use slatest_engine::profile::{ExecutorPlan, Plan, ScenarioPlan};

/// The figures of the line are of this much of the run.
const LOOKS_BACK: Nanos = Nanos::from_secs(10);
/// Rates are of this much of it: a ramp would hide in more.
const RATE_LOOKS_BACK: Nanos = Nanos::from_secs(1);
/// A plain line comes this often, on the run's clock.
const PLAIN_EVERY: Nanos = Nanos::from_secs(10);

/// The progress of a run, shown on standard error.
pub struct Progress {
    board: Board,
    /// What is said of the agents, where there are any.
    fleet: String,
    show: Show,
}

/// Where it is shown.
enum Show {
    Live { bars: MultiProgress, run: ProgressBar, fleet: Option<ProgressBar> },
    Plain { out: Box<dyn Write + Send>, next: Nanos },
    Nothing,
}

impl Progress {
    /// For standard error, as it is: a live line on a terminal, plain lines elsewhere, nothing when
    /// `quiet`.
    pub fn new(plan: &Plan, quiet: bool) -> Self {
        let board = Board::new(plan);
        let show = if quiet {
            Show::Nothing
        } else if console::user_attended_stderr() {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let run = bars.add(bar("{spinner} {wide_msg}"));
            Show::Live { bars, run, fleet: None }
        } else {
            Show::Plain { out: Box::new(io::stderr()), next: PLAIN_EVERY }
        };
        Self { board, fleet: String::new(), show }
    }

    /// Shows the agents on a line of their own: beside the run's on a terminal, below its next one
    /// elsewhere.
    pub fn show_fleet(&mut self, message: String) {
        if let Show::Live { bars, fleet, .. } = &mut self.show {
            let line = fleet.get_or_insert_with(|| bars.add(bar("  {wide_msg}")));
            line.set_message(plain(&message));
            line.tick();
        }
        self.fleet = message;
    }

    /// Takes an event and shows what follows. A line that can't be written is lost; the run goes on.
    pub fn show(&mut self, event: &Event) {
        self.board.take(event);
        match &mut self.show {
            Show::Live { run, .. } => {
                if let Event::Notice(notice) = event {
                    run.println(plain(notice));
                }
                run.set_message(self.board.line());
                run.tick();
            }
            Show::Plain { out, next } => {
                let line = match event {
                    Event::Notice(notice) => Some(plain(notice)),
                    Event::Phase(..) => Some(self.board.line()),
                    Event::Window { .. } if self.board.at >= *next => {
                        *next = self.board.at + PLAIN_EVERY;
                        let fleet =
                            if self.fleet.is_empty() { String::new() } else { format!("\n       {}", self.fleet) };
                        Some(format!("{}  {}{fleet}", clock(self.board.at), self.board.line()))
                    }
                    Event::Window { .. } | Event::Opened(..) | Event::Ready => None,
                };
                if let Some(line) = line {
                    // A closed standard error is no reason to end a run.
                    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
                }
            }
            Show::Nothing => {}
        }
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        if let Show::Live { run, fleet, .. } = &self.show {
            run.finish_and_clear();
            fleet.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// A line that lives.
fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Time into the run: `02:05`.
fn clock(at: Nanos) -> String {
    let secs = at.0 / 1_000_000_000;
    format!("{:02}:{:02}", secs / 60, secs % 60)
}

/// What is known so far, in constant memory.
struct Board {
    end: Nanos,
    open_model: bool,
    phase: Phase,
    opened: Option<(u64, u64)>,
    at: Nanos,
    planned_rate: f64,
    in_flight: u64,
    ended: u64,
    failures: u64,
    recent: VecDeque<Recent>,
}

/// What the line needs of a window.
struct Recent {
    length: Nanos,
    times: Latencies,
    /// Arrivals that were sent.
    sent: u64,
    /// Operations that ended after being sent; more than arrivals where flows have steps.
    done: u64,
}

impl Board {
    fn new(plan: &Plan) -> Self {
        let arrivals = |s: &ScenarioPlan| matches!(s.executor, ExecutorPlan::Arrivals { .. });
        Self {
            end: plan.end(),
            open_model: plan.scenarios.iter().any(arrivals),
            phase: Phase::Opening,
            opened: None,
            at: Nanos::ZERO,
            planned_rate: 0.0,
            in_flight: 0,
            ended: 0,
            failures: 0,
            recent: VecDeque::new(),
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Phase(phase, at) => {
                self.phase = *phase;
                self.at = self.at.max(*at);
            }
            Event::Opened(opened, wanted) => self.opened = Some((*opened, *wanted)),
            Event::Window { window, planned_rate, .. } => self.add(window, *planned_rate),
            Event::Notice(_) | Event::Ready => {}
        }
    }

    fn add(&mut self, window: &Window, planned_rate: f64) {
        // What comes late is of a time that was shown already.
        if window.late {
            self.ended += window.all().map(|(_, tally)| tally.completed()).sum::<u64>();
            self.failures += window.all().map(|(_, tally)| tally.failures()).sum::<u64>();
            return;
        }
        self.at = window.start() + window.length;
        self.planned_rate = planned_rate;
        self.in_flight = window.in_flight;
        let mut recent =
            Recent { length: window.length, times: Latencies::default(), sent: window.dispatch_lag.count(), done: 0 };
        for (_, tally) in window.all() {
            recent.times.merge(&tally.response);
            recent.times.merge(&tally.failed);
            let dropped = tally.outcome(Outcome::Dropped);
            recent.sent = recent.sent.saturating_sub(dropped);
            recent.done += tally.completed() - dropped;
            self.ended += tally.completed();
            self.failures += tally.failures();
        }
        self.recent.push_back(recent);
        let keep = (LOOKS_BACK.0 / window.length.0.max(1)).clamp(1, 1_000) as usize;
        while self.recent.len() > keep {
            self.recent.pop_front();
        }
    }

    /// Something per second, lately.
    fn lately(&self, of: impl Fn(&Recent) -> u64) -> f64 {
        let (mut count, mut time) = (0, Nanos::ZERO);
        for recent in self.recent.iter().rev() {
            count += of(recent);
            time += recent.length;
            if time >= RATE_LOOKS_BACK {
                break;
            }
        }
        if time > Nanos::ZERO { count as f64 / time.as_secs_f64() } else { 0.0 }
    }

    fn line(&self) -> String {
        if self.phase == Phase::Opening {
            return match self.opened {
                Some((opened, wanted)) => format!("opening sessions: {} of {}", grouped(opened), grouped(wanted)),
                None => "opening sessions".into(),
            };
        }
        let phase = match self.phase {
            Phase::Opening => "opening",
            Phase::WarmUp => "warm-up",
            Phase::Measuring => "measuring",
            Phase::Draining => "draining",
            Phase::Settling => "settling",
        };
        // What matters most comes first: a narrow terminal cuts the end off.
        let mut parts = vec![phase.to_owned()];
        let left = self.end - self.at;
        if left > Nanos::ZERO && matches!(self.phase, Phase::WarmUp | Phase::Measuring) {
            let secs = Nanos::from_secs(left.0.div_ceil(1_000_000_000));
            let left = if secs < LOOKS_BACK { format!("{}s", secs.as_secs_f64()) } else { length(secs) };
            parts.push(format!("{left} left"));
        }
        if !self.recent.is_empty() {
            if self.open_model && self.phase != Phase::Settling {
                parts.push(format!("{:.0}/s planned", self.planned_rate));
                parts.push(format!("{:.0}/s sent", self.lately(|recent| recent.sent)));
            }
            parts.push(format!("{:.0}/s done", self.lately(|recent| recent.done)));
        }
        let mut times = Latencies::default();
        self.recent.iter().for_each(|recent| times.merge(&recent.times));
        for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            parts.extend(times.quantile(quantile).map(|value| format!("{name} {value}")));
        }
        let share = if self.failures > 0 && self.ended > 0 {
            format!(" ({})", slatest_stats::Reading::Share(self.failures as f64 / self.ended as f64))
        } else {
            String::new()
        };
        parts.push(format!("errors {}{share}", grouped(self.failures)));
        parts.push(format!("in flight {}", grouped(self.in_flight)));
        parts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use slatest_engine::record::sample;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn events() -> Vec<Event> {
        let windows = sample::windows(&sample::plan());
        let mut events = vec![
            Event::Phase(Phase::Opening, Nanos::ZERO),
            Event::Opened(40, 100),
            Event::Phase(Phase::WarmUp, Nanos::ZERO),
        ];
        for (i, window) in windows.into_iter().enumerate() {
            if i == 2 {
                events.push(Event::Phase(Phase::Measuring, Nanos::from_secs(2)));
            }
            events.push(Event::Window { window: Arc::new(window), planned_rate: 400.0, gauges: Vec::new() });
        }
        events.push(Event::Notice("sync: 3 sessions\u{1b}[2J reconnected".into()));
        events.push(Event::Phase(Phase::Draining, Nanos::from_secs(12)));
        events.push(Event::Phase(Phase::Settling, Nanos::from_secs(13)));
        events
    }

    #[test]
    fn plain_lines_come_at_phases_notices_and_every_ten_seconds() {
        let kept = Kept::default();
        let mut progress = Progress {
            board: Board::new(&sample::plan()),
            fleet: String::new(),
            show: Show::Plain { out: Box::new(kept.clone()), next: PLAIN_EVERY },
        };
        events().iter().for_each(|event| progress.show(event));
        progress.finish();
        insta::assert_snapshot!(String::from_utf8(kept.0.lock().unwrap().clone()).unwrap());
    }

    #[test]
    fn a_fleet_stands_below_the_line_of_every_ten_seconds() {
        let kept = Kept::default();
        let show = Show::Plain { out: Box::new(kept.clone()), next: PLAIN_EVERY };
        let mut progress = Progress { board: Board::new(&sample::plan()), fleet: String::new(), show };
        progress.show_fleet("4 of 4 agents".into());
        events().iter().for_each(|event| progress.show(event));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let below = text.lines().skip_while(|line| !line.starts_with("00:10")).nth(1);
        assert_eq!(below, Some("       4 of 4 agents"), "{text}");
    }

    #[test]
    fn the_line_forgets_what_is_long_ago_and_fits_a_terminal() {
        let mut board = Board::new(&sample::plan());
        for event in events() {
            board.take(&event);
            assert!(board.line().chars().count() <= 140, "{}", board.line());
        }
        assert_eq!(board.recent.len(), 10);
        assert_eq!((board.ended, board.failures), (4_800, 2));
    }

    #[test]
    fn the_line_of_a_second() {
        let mut board = Board::new(&sample::plan());
        let lines: Vec<String> = events()
            .iter()
            .take(8)
            .map(|event| {
                board.take(event);
                board.line()
            })
            .collect();
        assert_eq!(lines[1], "opening sessions: 40 of 100");
        insta::assert_snapshot!(lines[7]);
    }
}

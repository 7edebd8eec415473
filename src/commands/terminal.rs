//! A person at a terminal, who watches a run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::conclude::write_junit;
use super::fleet_line::fleet_line;
use super::process::NothingSentYet;
use crate::report::phrases::{explanation, plain};
use crate::report::{Junit, Progress, Render as _, latest};
use slatest_cluster::fleet::FleetView;
use slatest_cluster::lead::LeadObserver;
use slatest_core::say;
use slatest_engine::load::Event;
use slatest_engine::record::{RunRecord, SERIES_FILE, Series, StoreError};
use slatest_engine::run::{Observer, RunStart, SeriesNews, SeriesObserver};
use slatest_metrics::LiveMetrics;

/// Shows what a run does on standard error.
pub struct Terminal {
    quiet: bool,
    progress: Option<Progress>,
    /// What others see of it.
    live: Option<Arc<LiveMetrics>>,
    /// While it lives a signal ends the process at once.
    idle: Option<NothingSentYet>,
}

impl Terminal {
    /// For a run of which nothing has been written, sent or broken yet.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, progress: None, live: None, idle: Some(NothingSentYet::begin()) }
    }

    /// The same, and others see it too.
    pub fn beside(mut self, live: Option<Arc<LiveMetrics>>) -> Self {
        self.live = live;
        self
    }
}

impl Observer for Terminal {
    fn notice(&mut self, message: &str) {
        say!("slatest: {message}");
    }

    fn reached(&mut self) {
        self.idle = None;
        NothingSentYet::is_over();
    }

    fn starts(&mut self, run: RunStart<'_>) {
        self.progress = Some(Progress::new(run.plan, self.quiet));
        if let Some(live) = &self.live {
            live.begin(run.id, run.target, run.plan);
        }
    }

    fn event(&mut self, event: &Event) {
        if let Some(progress) = &mut self.progress {
            progress.show(event);
        }
        if let Some(live) = &self.live {
            live.take(event);
        }
    }

    fn ends(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }

    fn recorded(&mut self, run: &RunRecord) -> Result<(), StoreError> {
        if let Some(live) = &self.live {
            live.judged(run);
        }
        write_junit(&run.folder, |file| Junit.render(run, file))
    }

    /// Also where somebody asked for quiet: this must be heard.
    fn left_broken(&mut self, drill: &str, reason: &str, folder: &Path) {
        say!("slatest: HEALING FAILED: the drill `{}` has left something broken: {}", plain(drill), plain(reason));
        say!("slatest: see to it by hand, or ask again: slatest drill heal {}", folder.display());
    }
}

impl LeadObserver for Terminal {
    fn fleet(&mut self, view: &FleetView) {
        if let Some(progress) = &mut self.progress {
            progress.show_fleet(fleet_line(view));
        }
        if let Some(live) = &self.live {
            live.agents(view.states());
        }
    }

    fn listens_again(&mut self, address: SocketAddr, run: &str) {
        say!("slatest: listening on {address} again, for the agents of {run}");
    }
}

impl SeriesObserver for Terminal {
    fn series(&mut self, series: &Series, news: SeriesNews<'_>) {
        let planned = series.planned;
        match news {
            SeriesNews::Opened(folder) => {
                say!(
                    "slatest: {planned} repeats of {}, told in {}",
                    series.profile,
                    folder.join(SERIES_FILE).display()
                );
            }
            SeriesNews::RepeatBegins { number, seed } => {
                say!("slatest: repeat {number} of {planned}, seed {seed}");
            }
            SeriesNews::RepeatEnded { number } => say!("slatest: repeat {number} of {planned}: {}", latest(series)),
            SeriesNews::NotSaved(reason) => say!("slatest: THE RESULTS ARE NOT SAVED: {reason}"),
            SeriesNews::NotRun(error) => {
                super::failure::tell(error);
            }
            SeriesNews::NotYetSound(reason) => say!("slatest: warning: not sound again yet: {}", plain(reason)),
        }
    }

    fn explain(&self, run: &RunRecord) -> String {
        explanation(run)
    }
}

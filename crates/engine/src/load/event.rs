//! What the engine tells those who show, store or watch a run. The only interface between what
//! runs and what is shown.

use std::sync::Arc;

use slatest_core::measure::Window;
use slatest_core::model::Nanos;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Sessions are being opened; nothing is sent yet.
    Opening,
    /// Sent, not judged.
    WarmUp,
    /// Sent and judged.
    Measuring,
    /// The last arrival is out; what is under way may end.
    Draining,
    /// Everything ended; what can only be checked at the end is checked.
    Settling,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A phase began at this instant of the run's clock.
    Phase(Phase, Nanos),
    /// Sessions opened so far, of how many.
    Opened(u64, u64),
    /// Everybody is ready, and waits for the order to start; told where one is waited for.
    Ready,
    /// A window closed, merged over all workers. `rate` is what was planned per second at its end,
    /// `gauges` what drivers say of themselves as `scenario/gauge`.
    Window {
        /// The window.
        window: Arc<Window>,
        /// Planned arrivals per second at its end, over all scenarios.
        planned_rate: f64,
        /// Figures of the drivers.
        gauges: Vec<(String, f64)>,
    },
    /// Something that the user should know; one line.
    Notice(String),
}

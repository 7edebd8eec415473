//! Histograms and counters: recorded by one worker without locks, merged without loss.

mod arrivals;
mod batches;
mod cohort;
mod course;
mod errors;
mod histogram;
mod recorder;
mod tally;
mod threshold;
mod timeline;
mod traffic;
mod troubles;
mod window;

pub use arrivals::{ArrivalShape, FiredArrivals};
pub use batches::{Batches, Counter};
pub use cohort::{CoarseTimes, Cohort};
pub use course::{Course, Flow};
pub use errors::ErrorKinds;
pub use histogram::{Latencies, NoSamples, V2Error};
pub use recorder::Recorder;
pub use tally::{ByLateness, Tally};
pub use threshold::{Series, Threshold};
pub use timeline::Timeline;
pub use traffic::TrafficSums;
pub use troubles::{Trouble, Troubles};
pub use window::{EventKind, OperationShape, Window, WindowEvent};

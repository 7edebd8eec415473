//! Agents as pods: an Indexed Job with its Secret, watched in words, and gone when the run is.
//!
//! [`Placement::start`] is for callers without a runtime; [`start`] and [`RunningJob`] are what it does. What
//! is made, and what a cluster is asked for, stands in `objects`. Knows nothing of what agents and
//! coordinator say to each other: it gets a token, a certificate and an address as they are.

mod by_hand;
mod error;
mod news;
mod objects;
mod placement;
mod pod;
mod running;
mod settings;

pub use by_hand::{ByHand, ByHandError, MountedFile, by_hand};
pub use error::KubernetesError;
pub use news::{News, NewsKind};
pub use objects::{agents_job, agents_secret};
pub use placement::Placement;
pub use running::{RunningJob, Watch, start};
pub use settings::{JobSettings, SettingsError};

//! Workload files: operations, flows, templates, data feeds, captures, checks. What is done, for
//! one driver, without a word of how fast. Everything here is the same for all protocols; a
//! driver brings the types of its own sections.

mod capture;
mod data;
mod draw;
mod expression;
mod feed;
mod file;
mod jinja;
mod json_path;
mod json_template;
mod keys;
mod ledger;
mod rows;
mod sent;
mod template;
mod template_bounds;
mod template_filters;
mod values;

pub use capture::{CaptureError, Captures};
pub use data::{Data, DataSpec};
#[cfg(feature = "websocket")]
pub(crate) use draw::mix;
#[cfg(feature = "http")]
pub(crate) use draw::unit;
pub use file::{FlowSpec, OperationSpec, StepSpec, WorkloadFile, WorkloadHead};
pub use json_path::{JsonPath, TooLarge};
pub use json_template::JsonTemplate;
pub use ledger::{Example, LedgerRead, LedgerSpec, LedgerSwitch};
pub use sent::SentValue;
pub use template::{RenderError, Template};
pub(crate) use template_bounds::names_in;
pub use values::{ExecutionId, Values};

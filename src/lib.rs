//! slatest: load generation and SLA verification.
//!
//! ```text
//! profile + workloads + target ──► plan ──► schedule ──► session/driver ──► completion ──► window ──► timeline
//!         (YAML, checked)                 (pure, seeded)  (one a protocol)   (recorder)    (merge)      │
//!                         results/ ◄── run record ◄── verdicts ◄── judge ◄──────────────────────────────┘
//! ```
//!
//! Each room imports only what stands below it; rooms of one line never import each other:
//!
//! | room | purpose |
//! |---|---|
//! | [`cli`] | one file a verb |
//! | [`capacity`] | the highest rate that still passes |
//! | [`cluster`] | a coordinator and its agents: many machines, one run |
//! | `kubernetes` | agents as pods of a cluster |
//! | `selftest` | truths that are known beforehand, and whether they are measured |
//! | [`report`] | one file a format, and the live progress |
//! | [`store`] | the run record, written as the run goes |
//! | [`engine`] | workers, pacer, sessions, the conductor, the judge |
//! | [`profile`] | YAML to a checked plan |
//! | [`objective`], [`schedule`], [`driver`], [`fault`] | statistics; seeded arrivals; protocols; what drills break and mend |
//! | [`workload`], [`target`] | operations, templates, feeds; endpoints, secrets, the guard |
//! | [`source`] | files of users, and where in them each value stands |
//! | [`ledger`] | every write that must not be lost, on disk, and held against what a store has |
//! | [`measure`] | histograms, tallies, windows |
//! | [`model`] | plain values |
//!
//! `sandbox` is an island: it imports only [`model`] and is reached only from [`cli`].

pub mod capacity;
pub mod cli;
pub mod cluster;
pub mod driver;
pub mod engine;
pub mod fault;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod ledger;
pub mod measure;
pub mod model;
pub mod objective;
pub mod profile;
pub mod report;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schedule;
#[cfg(feature = "sandbox")]
pub mod selftest;
pub mod source;
pub mod store;
pub mod target;
pub mod workload;

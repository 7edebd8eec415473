//! A workload, compiled: plain data, settled before it runs.

use std::sync::Arc;

use http::HeaderMap;
use http::uri::PathAndQuery;

use super::block::Block;
use super::check::Checks;
use super::dial::Dialer;
use super::drained::Drained;
use super::file::{Answer, Connections};
use super::origin::Origin;
use super::read_back::LedgerPlan;
use super::request::RequestPlan;
use crate::identity::Identity;
use crate::workload::{Captures, Data};
use slatest_core::model::Nanos;
use slatest_core::target::Guard;

/// The parts of the whole that are reported; `tls` only where there is TLS.
pub(super) const TIMINGS: [&str; 3] = ["connect", "first_byte", "tls"];
pub(super) const CONNECT: u8 = 0;
pub(super) const FIRST_BYTE: u8 = 1;
pub(super) const TLS: u8 = 2;

/// One operation, compiled.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: RequestPlan,
    pub(super) checks: Checks,
    pub(super) captures: Captures,
    pub(super) ledger: Option<LedgerPlan>,
    pub(super) answer: Answer,
}

/// Where requests go, and how.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) endpoint: String,
    pub(super) origin: Origin,
    /// What stands before every path: empty, or `/v2`.
    pub(super) prefix: String,
    pub(super) dialer: Dialer,
    pub(super) block: Option<Block>,
    pub(super) redirects_max: u64,
    /// Whether a bearer token is sent.
    pub(super) has_token: bool,
}

/// A compiled workload, as its sessions see it.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) server: Server,
    pub(super) guard: Guard,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) data: Arc<Data>,
    pub(super) cookies: bool,
    pub(super) health: PathAndQuery,
    pub(super) health_headers: HeaderMap,
    pub(super) identity: Identity,
    /// Longest body of an answer, on the wire and unpacked.
    pub(super) bytes_max: u64,
    pub(super) drained: Drained,
    pub(super) connections: Connections,
    /// How long a user keeps an idle connection.
    pub(super) idle_timeout: Option<Nanos>,
    /// The share of requests that open a connection of their own.
    pub(super) fresh: f64,
}

//! The record itself.

use std::io;

use super::Render;
use super::harmless::harmless_json;
use slatest_engine::record::RunRecord;

/// The record as JSON, for people and programs: what `run.json` holds, rebuilt where the run was
/// killed.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Render for Json {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{}", harmless_json(&serde_json::to_string_pretty(run)?))
    }
}

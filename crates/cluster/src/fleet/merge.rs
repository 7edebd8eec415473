//! One timeline out of the windows of many.

use std::collections::BTreeMap;

use crate::codec::{Codec, CodecError};
use crate::wire;
use slatest_core::measure::Window;

/// Most windows that wait for an agent that is behind. What it sends of older ones is late.
const PENDING_MAX: usize = 30;

/// Windows that are not complete yet. Its memory does not grow with the run, nor with the number of agents:
/// the parts of a window are added up as they come.
#[derive(Debug, Default)]
pub struct Merger {
    pending: BTreeMap<u64, Window>,
    /// The first window that was not handed on.
    next: u64,
}

impl Merger {
    /// Adds an agent's part of a window, which was checked when it came: itself, where the window was handed
    /// on already.
    ///
    /// # Errors
    /// When it can't be a window of this run; then nothing has been added.
    pub fn add(&mut self, codec: &Codec, part: &wire::Window) -> Result<Option<Window>, CodecError> {
        if part.index < self.next {
            let mut window = codec.read(part)?;
            window.late = true;
            return Ok(Some(window));
        }
        if let Some(window) = self.pending.get_mut(&part.index) {
            codec.add_checked(window, part)?;
        } else {
            self.pending.insert(part.index, codec.read(part)?);
        }
        Ok(None)
    }

    /// The next window to hand on: the earliest, when all of it came (it is before `complete`), or when
    /// too many wait.
    pub fn pop(&mut self, complete: u64) -> Option<Window> {
        let (&index, _) = self.pending.first_key_value()?;
        if index >= complete && self.pending.len() <= PENDING_MAX {
            return None;
        }
        self.next = index + 1;
        self.pending.remove(&index)
    }
}

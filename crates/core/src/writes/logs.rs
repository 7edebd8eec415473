//! What holds of a log: one offset has one value, and what was acknowledged comes before what was sent later.

use std::io;
use std::path::Path;

use super::result::{LogFindings, PLACES_NAMED_MAX};
use super::rows::{LOG_ROW, LogRow, Position};
use super::sort::Sorter;
use crate::model::{Nanos, WritePlace};

/// Takes what was acknowledged and polled, offset by offset.
#[derive(Debug)]
pub(super) struct Logs {
    rows: Sorter<LOG_ROW>,
}

impl Logs {
    pub(super) fn new(scratch: &Path) -> Self {
        Self { rows: Sorter::new(scratch) }
    }

    pub(super) fn push(&mut self, row: LogRow) -> io::Result<()> {
        self.rows.push(row.to_bytes())
    }

    /// Goes through all of it, partition by partition.
    pub(super) fn finish(self, findings: &mut LogFindings) -> io::Result<()> {
        let mut offset: Option<Offset> = None;
        let mut sent_before = Nanos::ZERO;
        for row in self.rows.sorted()? {
            let row = LogRow::from_bytes(&row?);
            if offset.as_ref().is_none_or(|offset| offset.position.partition() != row.position.partition()) {
                sent_before = Nanos::ZERO;
            }
            match &mut offset {
                Some(offset) if offset.position == row.position => offset.take(&row),
                _ => {
                    if let Some(done) = offset.replace(Offset::new(&row)) {
                        done.judge(findings);
                    }
                }
            }
            if row.polled {
                if row.acknowledged < sent_before {
                    findings.out_of_order += 1;
                    name(&mut findings.out_of_order_named, row.position);
                }
                sent_before = sent_before.max(row.sent);
            }
        }
        if let Some(done) = offset {
            done.judge(findings);
        }
        Ok(())
    }
}

fn name(places: &mut Vec<WritePlace>, position: Position) {
    if places.len() < PLACES_NAMED_MAX {
        places.push(position.place());
    }
}

/// One offset: whether all that was said of it is one value.
struct Offset {
    position: Position,
    value: u128,
    conflict: bool,
}

impl Offset {
    const fn new(row: &LogRow) -> Self {
        Self { position: row.position, value: row.id, conflict: false }
    }

    fn take(&mut self, row: &LogRow) {
        self.conflict |= row.id != self.value;
    }

    fn judge(self, findings: &mut LogFindings) {
        if self.conflict {
            findings.conflicts += 1;
            name(&mut findings.conflicts_named, self.position);
        }
    }
}

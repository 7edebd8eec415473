//! Feeds that come from files: CSV with a header line, or one JSON object a line. Held in memory,
//! so both are bounded.

use std::path::Path;

use serde_json::{Map, Value};

use super::feed::Cell;
use slatest_core::files::read_bytes;

/// Most bytes of a feed's file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most rows of a feed's file.
const ROWS_MAX: usize = 1_000_000;

/// The rows of a file.
#[derive(Debug)]
pub(super) enum Rows {
    Csv { header: Vec<String>, rows: Vec<csv::StringRecord> },
    Json { fields: Vec<String>, rows: Vec<Map<String, Value>> },
}

impl Rows {
    /// Reads a CSV file.
    ///
    /// # Errors
    /// In words, naming the file and the line.
    pub(super) fn csv(path: &Path) -> Result<Self, String> {
        let bytes = read(path)?;
        let wrong = |e: csv::Error| {
            let line = e.position().map_or(0, csv::Position::line);
            let what = match e.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("line {line} has {len} fields, the header has {expected_len}")
                }
                csv::ErrorKind::Utf8 { .. } => format!("line {line} is not UTF-8"),
                _ => format!("line {line}: {e}"),
            };
            format!("{}: {what}", path.display())
        };
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let header: Vec<String> = reader.headers().map_err(wrong)?.iter().map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for row in reader.records() {
            rows.push(row.map_err(wrong)?);
            bounded(path, rows.len())?;
        }
        some(path, rows.len())?;
        Ok(Self::Csv { header, rows })
    }

    /// Reads a file with one JSON object a line. Every row needs the fields of the first.
    ///
    /// # Errors
    /// In words, naming the file and the line.
    pub(super) fn jsonl(path: &Path) -> Result<Self, String> {
        let bytes = read(path)?;
        let mut fields: Vec<String> = Vec::new();
        let mut rows: Vec<Map<String, Value>> = Vec::new();
        for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let at = || format!("{}: line {}", path.display(), i + 1);
            let row: Map<String, Value> =
                serde_json::from_slice(line).map_err(|e| format!("{} is not a JSON object: {e}", at()))?;
            if rows.is_empty() {
                fields = row.keys().cloned().collect();
            }
            if let Some(missing) = fields.iter().find(|f| !row.contains_key(*f)) {
                return Err(format!("{} lacks `{missing}`, which the first line has", at()));
            }
            rows.push(row);
            bounded(path, rows.len())?;
        }
        some(path, rows.len())?;
        Ok(Self::Json { fields, rows })
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Csv { rows, .. } => rows.len() as u64,
            Self::Json { rows, .. } => rows.len() as u64,
        }
    }

    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Csv { header: names, .. } | Self::Json { fields: names, .. } => {
                names.iter().map(String::as_str).collect()
            }
        }
    }

    pub(super) fn field(&self, row: u64, field: &str) -> Option<Cell<'_>> {
        let row = usize::try_from(row).ok()?;
        match self {
            Self::Csv { header, rows } => {
                let column = header.iter().position(|name| name == field)?;
                rows.get(row)?.get(column).map(|text| Cell::Text(text.into()))
            }
            Self::Json { rows, .. } => rows.get(row)?.get(field).map(Cell::Json),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_bytes(path, FILE_BYTES_MAX).map_err(|error| format!("{} {error}", path.display()))
}

fn bounded(path: &Path, rows: usize) -> Result<(), String> {
    if rows > ROWS_MAX { Err(format!("{} has more than {ROWS_MAX} rows", path.display())) } else { Ok(()) }
}

fn some(path: &Path, rows: usize) -> Result<(), String> {
    if rows == 0 { Err(format!("{} has no rows", path.display())) } else { Ok(()) }
}

//! Sorting on disk: rows of one length, in the order of their bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Rows kept in memory before they are sorted and put on disk, in bytes.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// Sorted files that are merged into one.
const FAN_IN: usize = 64;
/// Bytes read ahead of each file.
const READ_AHEAD: usize = 32 * 1024;

/// Takes rows in any order and gives them sorted. Its memory doesn't grow with their number.
#[derive(Debug)]
pub(super) struct Sorter<const N: usize> {
    folder: PathBuf,
    rows: Vec<[u8; N]>,
    rows_max: usize,
    /// Sorted files by how often they were merged.
    levels: Vec<Vec<File>>,
}

impl<const N: usize> Sorter<N> {
    /// One that puts what it can't hold into unnamed files in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self::with_rows_max(folder, CHUNK_BYTES / N.max(1))
    }

    fn with_rows_max(folder: &Path, rows_max: usize) -> Self {
        Self { folder: folder.to_owned(), rows: Vec::new(), rows_max: rows_max.max(1), levels: Vec::new() }
    }

    /// Takes a row.
    pub(super) fn push(&mut self, row: [u8; N]) -> io::Result<()> {
        if self.rows.len() >= self.rows_max {
            self.spill()?;
        }
        self.rows.push(row);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.rows.sort_unstable();
        let mut file = Spool::create(&self.folder)?;
        for row in &self.rows {
            file.write(row)?;
        }
        self.rows.clear();
        let mut sorted = file.finish()?;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let files = &mut self.levels[level];
            files.push(sorted);
            if files.len() < FAN_IN {
                break;
            }
            let mut merged = Spool::create(&self.folder)?;
            for row in Merge::<N>::of(std::mem::take(files), Vec::new())? {
                merged.write(&row?)?;
            }
            sorted = merged.finish()?;
        }
        Ok(())
    }

    /// All rows, sorted.
    pub(super) fn sorted(mut self) -> io::Result<Merge<N>> {
        self.rows.sort_unstable();
        Merge::of(self.levels.into_iter().flatten().collect(), self.rows)
    }
}

struct Spool(BufWriter<File>);

impl Spool {
    fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::new(tempfile::tempfile_in(folder)?)))
    }

    fn write(&mut self, row: &[u8]) -> io::Result<()> {
        self.0.write_all(row)
    }

    fn finish(self) -> io::Result<File> {
        let mut file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Several sorted sources as one.
#[derive(Debug)]
pub(super) struct Merge<const N: usize> {
    files: Vec<BufReader<File>>,
    memory: std::vec::IntoIter<[u8; N]>,
    /// The next row of each source; the one after the last file is memory.
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Merge<N> {
    fn of(files: Vec<File>, memory: Vec<[u8; N]>) -> io::Result<Self> {
        let files: Vec<_> = files.into_iter().map(|file| BufReader::with_capacity(READ_AHEAD, file)).collect();
        let sources = files.len() + 1;
        let mut merge = Self { files, memory: memory.into_iter(), heads: BinaryHeap::with_capacity(sources) };
        for source in 0..sources {
            merge.refill(source)?;
        }
        Ok(merge)
    }

    fn refill(&mut self, source: usize) -> io::Result<()> {
        let row = match self.files.get_mut(source) {
            None => self.memory.next(),
            Some(file) => {
                let mut row = [0; N];
                match file.read_exact(&mut row) {
                    Ok(()) => Some(row),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
                    Err(error) => return Err(error),
                }
            }
        };
        self.heads.extend(row.map(|row| Reverse((row, source))));
        Ok(())
    }
}

impl<const N: usize> Iterator for Merge<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((row, source)) = self.heads.pop()?;
        Some(self.refill(source).map(|()| row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn rows_come_out_sorted_and_none_is_missing(
            numbers in proptest::collection::vec(any::<u32>(), 0..3000),
            rows_max in 1_usize..200,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::<4>::with_rows_max(folder.path(), rows_max);
            for number in &numbers {
                sorter.push(number.to_be_bytes()).unwrap();
            }
            prop_assert!(sorter.levels.iter().all(|files| files.len() < FAN_IN));
            let sorted: Vec<u32> = sorter.sorted().unwrap().map(|row| u32::from_be_bytes(row.unwrap())).collect();
            let mut expected = numbers;
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }
    }
}

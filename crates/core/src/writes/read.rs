//! Reading a ledger, one block at a time.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::record::Record;
use super::segment::{Broken, Head, Next, read_block};
use super::write::segment_name;
use crate::files::open_regular;
use crate::model::WriteScope;

/// Why a ledger can't be read or reckoned with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk.
    #[error("the ledger's files: {0}")]
    Io(#[from] io::Error),
    /// A file of it is not what it should be.
    #[error("{}: {words}; the writes after it can't be known", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        words: String,
    },
}

/// A ledger on disk.
#[derive(Clone, Debug)]
pub struct Ledger {
    segments: Vec<PathBuf>,
    head: Head,
}

impl Ledger {
    /// Opens the ledger in `folder`.
    ///
    /// # Errors
    /// A folder without a ledger, or with one that was killed before it said whose it is.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let segments: Vec<_> = (1..).map(|n| folder.join(segment_name(n))).take_while(|path| path.is_file()).collect();
        let Some(first) = segments.first() else {
            let words = "there is no ledger in this folder".into();
            return Err(LedgerError::Broken { path: folder.to_owned(), words });
        };
        let head = Head::read(&mut open_regular(first)?).map_err(|broken| at(first, broken))?;
        let Some(head) = head else {
            return Err(at(first, Broken::Words("it was killed before it held anything".into())));
        };
        Ok(Self { segments, head })
    }

    /// When it was begun, in nanoseconds since 1970.
    pub const fn begun(&self) -> i64 {
        self.head.begun
    }

    /// Name of the run.
    pub fn run(&self) -> &str {
        &self.head.run
    }

    /// The writes of a scenario of the run.
    pub fn scope(&self, scenario: &str) -> WriteScope {
        WriteScope::of(&self.head.run, scenario)
    }

    /// Its records, in the order in which they were written.
    pub fn records(&self) -> Records {
        Records {
            head: self.head.clone(),
            rest: self.segments.clone().into_iter(),
            open: None,
            block: Vec::new(),
            at: 0,
            torn: 0,
            over: false,
        }
    }
}

fn at(path: &Path, broken: Broken) -> LedgerError {
    match broken {
        Broken::Io(error) => LedgerError::Io(error),
        Broken::Words(words) => LedgerError::Broken { path: path.to_owned(), words },
    }
}

/// The records of a ledger. Holds one block at a time.
#[derive(Debug)]
pub struct Records {
    /// What each of the files begins with.
    head: Head,
    rest: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, BufReader<File>)>,
    block: Vec<u8>,
    at: usize,
    torn: u64,
    over: bool,
}

impl Records {
    /// Bytes of a block that was being written when the writer was killed; known at the end.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// Makes the next block the current one; false at the end.
    fn advance(&mut self) -> Result<bool, LedgerError> {
        loop {
            let Some((path, file)) = &mut self.open else {
                let Some(path) = self.rest.next() else { return Ok(false) };
                let mut file = BufReader::new(open_regular(&path)?);
                match Head::read(&mut file).map_err(|broken| at(&path, broken))? {
                    Some(head) if head == self.head => self.open = Some((path, file)),
                    Some(_) => return Err(at(&path, Broken::Words("it belongs to another ledger".into()))),
                    None => self.torn_head(&path)?,
                }
                continue;
            };
            match read_block(file).map_err(|broken| at(path, broken))? {
                Next::Block(block) => {
                    (self.block, self.at) = (block, 0);
                    return Ok(true);
                }
                Next::End => self.open = None,
                Next::Torn(bytes) => {
                    let path = path.clone();
                    self.torn_at_end(&path, bytes)?;
                    self.open = None;
                }
            }
        }
    }

    /// A file that ends within its head: it was being begun, or a length in its head has turned.
    fn torn_head(&mut self, path: &Path) -> Result<(), LedgerError> {
        let whole = self.head.bytes()?;
        let there = std::fs::metadata(path)?.len();
        let is_start = there < whole.len() as u64 && {
            let bytes = crate::files::read_bytes(path, whole.len() as u64).map_err(io::Error::other)?;
            whole.starts_with(&bytes)
        };
        if !is_start {
            return Err(at(path, Broken::Words("its head is not that of the ledger".into())));
        }
        self.torn_at_end(path, there)
    }

    /// A kill tears the end of the last file, and no other.
    fn torn_at_end(&mut self, path: &Path, bytes: u64) -> Result<(), LedgerError> {
        self.torn = bytes;
        if self.rest.len() == 0 {
            return Ok(());
        }
        Err(at(path, Broken::Words("it ends within a block though more files follow".into())))
    }
}

impl Iterator for Records {
    type Item = Result<Record, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        while self.at >= self.block.len() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.over = true;
                    return None;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        let mut bytes = self.block.get(self.at..).unwrap_or_default();
        let record = Record::decode(&mut bytes);
        self.at = self.block.len() - bytes.len();
        Some(record.ok_or_else(|| {
            self.over = true;
            let path = self.open.as_ref().map(|(path, _)| path.clone()).unwrap_or_default();
            at(&path, Broken::Words("a block holds what is no record".into()))
        }))
    }
}

//! A file of the ledger: a head, then blocks, each with its length and a checksum.

use std::io::{self, Read, Write};

/// What a file starts with.
const MAGIC: [u8; 8] = *b"slatledg";
/// Version of the format.
const VERSION: u32 = 1;
/// Length of the head before the name of the run: magic, version, wall-clock time, length of the name.
pub(super) const HEAD_BYTES: usize = 22;
/// Length of what stands before a block: length and CRC-32.
const FRAME_BYTES: usize = 8;
/// Longest block that is believed.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 20;

/// What the head of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Name of the run.
    pub(super) run: String,
    /// When the ledger was begun, in nanoseconds since 1970.
    pub(super) begun: i64,
}

impl Head {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let length = u16::try_from(self.run.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.run.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.begun.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(self.run.as_bytes());
        out.write_all(&bytes)
    }

    /// `None`: the file ends within it.
    pub(super) fn read(from: &mut impl Read) -> Result<Option<Self>, Broken> {
        let mut bytes = [0; HEAD_BYTES];
        if fill(from, &mut bytes)? < HEAD_BYTES {
            return Ok(None);
        }
        let (magic, rest) = bytes.split_at(MAGIC.len());
        let (version, rest) = rest.split_at(4);
        let (begun, length) = rest.split_at(8);
        let version = u32::from_le_bytes(version.try_into().unwrap_or_default());
        if magic != MAGIC {
            return Err(Broken::Words("it is no file of a ledger".into()));
        }
        if version != VERSION {
            let words = format!("it has version {version} of the format, and this slatest reads version {VERSION}");
            return Err(Broken::Words(words));
        }
        let mut run = vec![0; usize::from(u16::from_le_bytes(length.try_into().unwrap_or_default()))];
        if fill(from, &mut run)? < run.len() {
            return Ok(None);
        }
        let run = String::from_utf8(run).map_err(|_| Broken::Words("its run has no name".into()))?;
        Ok(Some(Self { run, begun: i64::from_le_bytes(begun.try_into().unwrap_or_default()) }))
    }
}

/// Appends a block, in one write.
pub(super) fn write_block(payload: &[u8], out: &mut impl Write) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut whole = Vec::with_capacity(FRAME_BYTES + payload.len());
    whole.extend_from_slice(&length.to_le_bytes());
    whole.extend_from_slice(&checksum(payload).to_le_bytes());
    whole.extend_from_slice(payload);
    out.write_all(&whole)
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole block.
    Block(Vec<u8>),
    /// The end.
    End,
    /// A block that was being written when the writer died, with the bytes that are there of it.
    Torn(u64),
}

/// Why a file can't be read on.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    Words(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the next block.
pub(super) fn read_block(from: &mut impl Read) -> Result<Next, Broken> {
    let mut frame = [0; FRAME_BYTES];
    match fill(from, &mut frame)? {
        0 => return Ok(Next::End),
        FRAME_BYTES => {}
        short => return Ok(Next::Torn(short as u64)),
    }
    let (length, crc) = frame.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
    let crc = u32::from_le_bytes(crc.try_into().unwrap_or_default());
    if length > BLOCK_BYTES_MAX {
        return Err(Broken::Words(format!("a block of {length} bytes can't be")));
    }
    let mut payload = vec![0; length];
    let got = fill(from, &mut payload)?;
    if got < length {
        return Ok(Next::Torn((FRAME_BYTES + got) as u64));
    }
    if checksum(&payload) != crc {
        return Err(Broken::Words("the checksum of a block is wrong".into()));
    }
    Ok(Next::Block(payload))
}

fn checksum(payload: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(payload);
    crc.sum()
}

/// Reads until `bytes` are full or the file ends; gives how many came.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

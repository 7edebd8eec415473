//! A file of the ledger: a head, then blocks, each with its length and a checksum.

use std::io::{self, Read, Write};

use crate::intact::{FRAME_BYTES, checksum, frame_head, is_torn};

/// What a file starts with.
const MAGIC: [u8; 8] = *b"slatledg";
/// Version of the format.
const VERSION: u32 = 2;
/// Length of the head without the name of the run, which stands before its last part: magic, version, wall-clock time,
/// length of the name; CRC-32 of all that.
pub(super) const HEAD_BYTES: usize = FIXED_BYTES + 4;
const FIXED_BYTES: usize = 22;
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
        out.write_all(&self.bytes()?)
    }

    /// As it stands in a file.
    pub(super) fn bytes(&self) -> io::Result<Vec<u8>> {
        let length = u16::try_from(self.run.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.run.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.begun.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(self.run.as_bytes());
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// `None`: the file ends within it.
    pub(super) fn read(from: &mut impl Read) -> Result<Option<Self>, Broken> {
        let mut bytes = [0; FIXED_BYTES];
        if fill(from, &mut bytes)? < FIXED_BYTES {
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
        let mut sum = [0; 4];
        if fill(from, &mut sum)? < sum.len() {
            return Ok(None);
        }
        if checksum(&[&bytes, run.as_slice()].concat()) != u32::from_le_bytes(sum) {
            return Err(Broken::Words("the checksum of its head is wrong".into()));
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
    let (length, crc) = frame_head(frame);
    if length == 0 {
        // No block is empty: a file system made room and did not write, or its length has turned.
        let zeros = zeros(from)?.filter(|_| crc == 0);
        return match zeros {
            Some(zeros) => Ok(Next::Torn(FRAME_BYTES as u64 + zeros)),
            None => Err(Broken::Words("a block of no bytes can't be".into())),
        };
    }
    if length > BLOCK_BYTES_MAX {
        return Err(Broken::Words(format!("a block of {length} bytes can't be")));
    }
    let mut payload = vec![0; length];
    let got = fill(from, &mut payload)?;
    if got < length {
        payload.truncate(got);
        if !is_torn(&[&frame, payload.as_slice()].concat(), BLOCK_BYTES_MAX) {
            return Err(Broken::Words("the length of a block is wrong".into()));
        }
        return Ok(Next::Torn((FRAME_BYTES + got) as u64));
    }
    if checksum(&payload) != crc {
        return Err(Broken::Words("the checksum of a block is wrong".into()));
    }
    Ok(Next::Block(payload))
}

/// How many bytes are left, where all of them are zero.
fn zeros(from: &mut impl Read) -> io::Result<Option<u64>> {
    let (mut chunk, mut count) = ([0; 4096], 0);
    loop {
        let got = fill(from, &mut chunk)?;
        if chunk.get(..got).unwrap_or_default().iter().any(|byte| *byte != 0) {
            return Ok(None);
        }
        count += got as u64;
        if got < chunk.len() {
            return Ok(Some(count));
        }
    }
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

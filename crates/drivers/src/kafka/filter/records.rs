//! Batches of records in an answer to Fetch: their lengths, their checksums, and what is packed in them.

use std::io::Read;

use super::reader::{Checked, Malformed, Reader};

/// Most bytes of a batch once it is unpacked: brokers refuse records over some MiB, and batches hold some of them.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a batch after its length.
const HEADER_BYTES: usize = 49;
/// Batches of this kind are read; brokers since 0.11 write no other.
const MAGIC: i8 = 2;

/// Holds the batches of one partition against what they say of themselves. The last may be cut short: brokers fill an
/// answer to the byte.
pub(super) fn check(bytes: &[u8]) -> Checked<()> {
    let mut reader = Reader(bytes);
    while reader.left() >= 12 {
        reader.i64()?;
        let length = usize::try_from(reader.i32()?).map_err(|_| Malformed("the length of a batch is below zero"))?;
        if length < HEADER_BYTES {
            return Err(Malformed("a batch is too short"));
        }
        let magic = Reader(reader.0.get(4..).unwrap_or_default()).i8();
        if magic.is_ok_and(|magic| magic != MAGIC) {
            return Err(Malformed("its records are in the format of brokers before 0.11, which is not read here"));
        }
        if length > reader.left() {
            return Ok(());
        }
        batch(Reader(reader.take(length)?))?;
    }
    Ok(())
}

fn batch(mut reader: Reader<'_>) -> Checked<()> {
    reader.take(5)?;
    let checksum = reader.u32()?;
    if crc32c::crc32c(reader.0) != checksum {
        return Err(Malformed("the checksum of a batch is wrong"));
    }
    let attributes = reader.i16()?;
    let last_offset = reader.i32()?;
    reader.take(30)?;
    let count = reader.i32()?;
    if count < 0 || last_offset < 0 {
        return Err(Malformed("a batch has a number of records below zero"));
    }
    let unpacked = match attributes & 7 {
        0 => None,
        1 => Some(unpack(flate2::read::MultiGzDecoder::new(reader.0))?),
        2 => Some(snappy(reader.0)?),
        3 => Some(unpack(lz4_flex::frame::FrameDecoder::new(reader.0))?),
        4 => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(reader.0).map_err(|_| UNPACKABLE)?;
            Some(unpack(decoder)?)
        }
        _ => return Err(Malformed("a batch is packed in a way that no broker knows")),
    };
    let mut records = Reader(unpacked.as_deref().unwrap_or(reader.0));
    for _ in 0..count {
        record(&mut records)?;
    }
    if records.is_empty() { Ok(()) } else { Err(Malformed("more follows in a batch than its records")) }
}

fn record(reader: &mut Reader<'_>) -> Checked<()> {
    let length = i64::from(reader.zigzag()?);
    let length = reader.length(length, false)?.unwrap_or(0);
    let mut record = Reader(reader.take(length)?);
    record.i8()?;
    record.zigzag_long()?;
    record.zigzag()?;
    for _ in ["key", "value"] {
        part(&mut record, true)?;
    }
    let headers = i64::from(record.zigzag()?);
    for _ in 0..record.length(headers, false)?.unwrap_or(0) {
        part(&mut record, false)?;
        part(&mut record, true)?;
    }
    if record.is_empty() { Ok(()) } else { Err(Malformed("a record is longer than what is in it")) }
}

fn part(reader: &mut Reader<'_>, nullable: bool) -> Checked<()> {
    let length = i64::from(reader.zigzag()?);
    let length = reader.length(length, nullable)?.unwrap_or(0);
    reader.take(length).map(drop)
}

const UNPACKABLE: Malformed = Malformed("a batch can't be unpacked");

fn unpack(packed: impl Read) -> Checked<Vec<u8>> {
    let mut unpacked = Vec::new();
    let read = packed.take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut unpacked).map_err(|_| UNPACKABLE)?;
    if read as u64 > UNPACKED_BYTES_MAX {
        Err(Malformed("a batch is too large once it is unpacked"))
    } else {
        Ok(unpacked)
    }
}

/// What Java's clients write before blocks of Snappy: a name and two versions.
const XERIAL: &[u8] = b"\x82SNAPPY\0";

fn snappy(packed: &[u8]) -> Checked<Vec<u8>> {
    let block = |block: &[u8], before: usize| {
        let length = snap::raw::decompress_len(block).map_err(|_| UNPACKABLE)?;
        if (length + before) as u64 > UNPACKED_BYTES_MAX {
            return Err(Malformed("a batch is too large once it is unpacked"));
        }
        snap::raw::Decoder::new().decompress_vec(block).map_err(|_| UNPACKABLE)
    };
    let Some(blocks) = packed.strip_prefix(XERIAL) else { return block(packed, 0) };
    let mut reader = Reader(blocks);
    reader.take(8)?;
    let mut unpacked = Vec::new();
    while !reader.is_empty() {
        let length = i64::from(reader.i32()?);
        let length = reader.length(length, false)?.unwrap_or(0);
        let more = block(reader.take(length)?, unpacked.len())?;
        unpacked.extend(more);
    }
    Ok(unpacked)
}

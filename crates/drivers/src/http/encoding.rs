//! Content codings (RFC 9110, section 8.4): which were asked for, and bodies unpacked within bounds.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use crate::failure::Failure;

/// Most codings that lie around one another: each costs its own time, and nobody uses three.
const CODINGS_MAX: usize = 4;
/// Largest window that a zstd frame may ask for: RFC 9659 has it for HTTP.
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// A way to pack a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// By its name, in any case.
    fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn malformed(self) -> &'static str {
        match self {
            Self::Gzip => "body: malformed gzip",
            Self::Deflate => "body: malformed deflate",
            Self::Brotli => "body: malformed br",
            Self::Zstd => "body: malformed zstd",
        }
    }

    /// Whether the request's `Accept-Encoding` asks for it; without that header anything may come.
    fn asked(self, accepted: Option<&HeaderValue>) -> bool {
        let Some(accepted) = accepted.map(HeaderValue::to_str) else { return true };
        let Ok(accepted) = accepted else { return true };
        let mut any = false;
        for (name, refused) in listed(accepted) {
            if Self::of(name) == Some(self) {
                return !refused;
            }
            any |= name == "*" && !refused;
        }
        any
    }
}

/// The members of an `Accept-Encoding`, and whether each is refused by `q=0`.
fn listed(accepted: &str) -> impl Iterator<Item = (&str, bool)> {
    accepted.split(',').map(|member| {
        let (name, weight) = member.split_once(';').unwrap_or((member, ""));
        let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim().strip_prefix('='));
        (name.trim(), weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0)))
    })
}

/// A coding that a written `Accept-Encoding` asks for and that can't be unpacked here.
pub(super) fn unknown(accepted: &str) -> Option<&str> {
    let known = |name: &str| {
        name.is_empty() || name == "*" || name.eq_ignore_ascii_case("identity") || Coding::of(name).is_some()
    };
    listed(accepted).find_map(|(name, refused)| (!refused && !known(name)).then_some(name))
}

/// Why a body was not unpacked.
#[derive(Debug)]
pub(super) enum NotDecoded {
    /// It yields more than was to be made of it.
    TooLarge,
    Failed(Failure),
}

/// Unpacks a body that the server packed, to at most `bytes_max`. `accepted` is what the request accepts.
pub(super) fn decode(
    headers: &HeaderMap,
    accepted: Option<&HeaderValue>,
    body: Bytes,
    bytes_max: usize,
) -> Result<Bytes, NotDecoded> {
    let failed = |kind| NotDecoded::Failed(Failure::rejected(kind));
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let names = value.to_str().map_err(|_| failed("body: an encoding that is not known"))?.split(',');
        for name in names.map(str::trim).filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity")) {
            // HEAD, 204 and 304 say how a body would be packed, and have none.
            if body.is_empty() {
                return Ok(body);
            }
            let coding = Coding::of(name).ok_or_else(|| failed("body: an encoding that is not known"))?;
            if !coding.asked(accepted) {
                return Err(failed("body: an encoding that was not asked for"));
            }
            if codings.len() == CODINGS_MAX {
                return Err(failed("body: too many encodings"));
            }
            codings.push(coding);
        }
    }
    let mut body = body;
    // The list is in the order in which they were put around the body.
    for coding in codings.into_iter().rev() {
        body = unpack(coding, &body, bytes_max)?.into();
    }
    if body.len() > bytes_max { Err(NotDecoded::TooLarge) } else { Ok(body) }
}

/// A body that says that it is packed, in each of the codings.
#[cfg(any(fuzzing, feature = "readers"))]
pub(super) fn fuzz(bytes: &[u8]) {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let name = HeaderValue::from_static(coding);
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, name.clone())]);
        if let Ok(body) = decode(&headers, Some(&name), Bytes::copy_from_slice(bytes), 1 << 20) {
            assert!(body.len() <= 1 << 20, "{} bytes of {coding}", body.len());
        }
    }
}

fn unpack(coding: Coding, packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, NotDecoded> {
    let unpacked = match coding {
        Coding::Gzip => bounded(MultiGzDecoder::new(packed), bytes_max),
        // The standard means zlib; some servers send it without zlib's frame, and all browsers take both.
        Coding::Deflate if is_zlib(packed) => bounded(ZlibDecoder::new(packed), bytes_max),
        Coding::Deflate => bounded(DeflateDecoder::new(packed), bytes_max),
        Coding::Brotli => bounded(brotli_decompressor::Decompressor::new(packed, BROTLI_BUFFER_BYTES), bytes_max),
        Coding::Zstd => zstd(packed, bytes_max),
    };
    match unpacked {
        Ok(unpacked) if unpacked.len() > bytes_max => Err(NotDecoded::TooLarge),
        Ok(unpacked) => Ok(unpacked),
        Err(_) => Err(NotDecoded::Failed(Failure::rejected(coding.malformed()))),
    }
}

/// One byte more than allowed, so that too much is told from just enough.
fn bounded(reader: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take((bytes_max as u64).saturating_add(1)).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// RFC 1950: the method is 8, the window at most 32 KiB, and the two bytes are divisible by 31.
fn is_zlib(packed: &[u8]) -> bool {
    let [first, second, ..] = packed else { return false };
    first & 0x0f == 8 && first >> 4 <= 7 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0
}

/// All frames one after another, as the other codings' readers do it.
fn zstd(mut packed: &[u8], bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    while !packed.is_empty() && unpacked.len() <= bytes_max {
        match zstd_frame(packed) {
            Some(Frame::Skip(length)) => {
                packed = packed.get(length..).ok_or(io::ErrorKind::UnexpectedEof)?;
                continue;
            }
            Some(Frame::Data { window }) if window <= ZSTD_WINDOW_BYTES_MAX => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        let decoder = ruzstd::decoding::StreamingDecoder::new(&mut packed).map_err(io::Error::other)?;
        let left = (bytes_max - unpacked.len()) as u64;
        decoder.take(left.saturating_add(1)).read_to_end(&mut unpacked)?;
    }
    Ok(unpacked)
}

/// What a zstd frame says of itself (RFC 8878, section 3.1), before anybody makes room for it.
enum Frame {
    Data { window: u64 },
    Skip(usize),
}

fn zstd_frame(packed: &[u8]) -> Option<Frame> {
    let (magic, rest) = packed.split_first_chunk::<4>()?;
    match u32::from_le_bytes(*magic) {
        0xfd2f_b528 => {}
        0x184d_2a50..=0x184d_2a5f => {
            let (length, _) = rest.split_first_chunk::<4>()?;
            return Some(Frame::Skip(usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(8)?));
        }
        _ => return None,
    }
    let (&descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let &window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(Frame::Data { window: base + base / 8 * u64::from(window & 7) });
    }
    // One segment: the window is as large as the content.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut size = [0; 8];
    size[..length].copy_from_slice(rest.get(dictionary..dictionary + length)?);
    let size = u64::from_le_bytes(size);
    Some(Frame::Data { window: if length == 2 { size + 256 } else { size } })
}

#[cfg(test)]
mod tests;

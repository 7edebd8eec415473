//! The body of an answer: drained, or kept where something looks at it. Always within bounds.

use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, HeaderMap};
use hyper::body::Incoming;

use super::connection::Connection;
use super::failure::Failure;

/// Longest body that is taken, on the wire and unpacked.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads the body of an answer that came on `connection` to its end. Kept only when it is `wanted`; a
/// body in one piece isn't copied.
pub(super) async fn read(connection: &mut Connection, mut body: Incoming, wanted: bool) -> Result<Bytes, Failure> {
    let mut length = 0_usize;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = connection.frame(&mut body).await {
        let Ok(data) = frame.map_err(|e| Failure::of_body(&e))?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if !wanted || data.is_empty() {
            continue;
        }
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Unpacks a body that the server packed.
pub(super) fn decode(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Failure> {
    match headers.get(CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(body),
        // HEAD and 204 say how a body would be packed, and have none.
        Some(_) if body.is_empty() => Ok(body),
        Some(b"gzip" | b"x-gzip") => {
            let mut decoded = Vec::new();
            let bound = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX);
            let mut decoder = MultiGzDecoder::new(&*body).take(bound.saturating_add(1));
            decoder.read_to_end(&mut decoded).map_err(|_| Failure::rejected("body: malformed gzip"))?;
            if decoded.len() > BODY_BYTES_MAX { Err(too_large()) } else { Ok(decoded.into()) }
        }
        Some(_) => Err(Failure::rejected("body: an encoding that was not asked for")),
    }
}

fn too_large() -> Failure {
    Failure::rejected("body: larger than 16 MiB")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(data: &[u8]) -> (HeaderMap, Bytes) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, "gzip".parse().unwrap())]);
        (headers, encoder.finish().unwrap().into())
    }

    #[test]
    fn a_packed_body_is_unpacked() {
        let (headers, body) = packed(b"{\"items\":[]}");
        assert_eq!(decode(&headers, body).unwrap(), "{\"items\":[]}");
        assert_eq!(decode(&headers, Bytes::new()).unwrap(), "");
        assert_eq!(decode(&HeaderMap::new(), Bytes::from_static(b"as it is")).unwrap(), "as it is");
    }

    #[test]
    fn a_small_body_that_unpacks_to_a_huge_one_is_refused() {
        let (headers, body) = packed(&vec![0; BODY_BYTES_MAX + 1]);
        assert!(body.len() < 100_000);
        assert_eq!(decode(&headers, body).unwrap_err().kind, "body: larger than 16 MiB");
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_rejected() {
        let (headers, body) = packed(b"hello hello hello");
        assert_eq!(decode(&headers, body.slice(..body.len() / 2)).unwrap_err().kind, "body: malformed gzip");
        let brotli = HeaderMap::from_iter([(CONTENT_ENCODING, "br".parse().unwrap())]);
        assert!(decode(&brotli, Bytes::from_static(b"x")).is_err());
    }
}

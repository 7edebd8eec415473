//! The body of an answer: drained, or kept where something looks at it. Always within bounds.

use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;

use super::connection::Connection;
use crate::failure::Failure;

/// Longest body that is taken, on the wire and unpacked, unless the workload says otherwise.
pub(super) const ANSWER_MAX_MIB: u64 = 16;

/// Reads the body of an answer that came on `connection` to its end. Kept only when it is `wanted`; a body in one piece
/// isn't copied. Also says how long it is.
pub(super) async fn read(
    connection: &mut Connection,
    mut body: Incoming,
    wanted: bool,
    bytes_max: u64,
) -> Result<(Bytes, u64), Failure> {
    let mut length = 0_u64;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = connection.frame(&mut body).await {
        // A peer may have very many frames ready, of a byte each.
        tokio::task::coop::consume_budget().await;
        let Ok(data) = frame.map_err(|e| Failure::of_body(&e))?.into_data() else { continue };
        length = length.saturating_add(data.len() as u64);
        if length > bytes_max {
            return Err(too_large(bytes_max));
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
    Ok((if rest.is_empty() { first } else { rest.freeze() }, length))
}

/// A body that is longer than what is taken.
pub(super) fn too_large(bytes_max: u64) -> Failure {
    Failure::rejected(format!("body: larger than {} MiB", bytes_max >> 20)).broken()
}

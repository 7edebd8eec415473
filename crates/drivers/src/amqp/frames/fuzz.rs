//! What a fuzzer says as a broker.

use super::{BODY_BYTES_MAX_DEFAULT, FRAME_MAX_DEFAULT, FrameCheck};

/// Whatever comes, and in whatever pieces: it ends, and no more is handed on than came.
pub fn fuzz(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut check = FrameCheck::new(FRAME_MAX_DEFAULT, BODY_BYTES_MAX_DEFAULT);
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        let (admitted, violation) = check.admit(piece, &mut drop);
        assert!(admitted <= piece.len() && (violation.is_some() || admitted == piece.len()));
        if violation.is_some() {
            return;
        }
    }
}

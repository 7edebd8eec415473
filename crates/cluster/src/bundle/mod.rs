//! What travels to agents so that they plan the same: the files of a run, never a key or a credential.

mod digest;
mod pack;
mod path;
mod unpack;

pub use digest::{PlanDigest, digest};
pub use pack::{Packing, pack};
pub use path::InsidePath;
pub use unpack::{UnpackError, Unpacked, unpack};

/// Most bytes of all files together.
pub const BYTES_MAX: usize = 48 * 1024 * 1024;
/// Most files.
pub const FILES_MAX: usize = 10_000;

#[cfg(test)]
mod tests;

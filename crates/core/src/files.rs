//! Files that users name, read whole: regular ones alone, and no more than a bound. A FIFO would be waited for, a
//! device may have no end.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

/// Why a file was not read, in words that go on after its name: `is a folder, not a file`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("can't be read: it is not there")]
    Missing,
    /// Its rights, or those of a folder above it, say no.
    #[error("can't be read: this user has no right to")]
    Forbidden,
    /// It is something else.
    #[error("is {0}, not a file")]
    Kind(&'static str),
    /// It has more bytes than are read.
    #[error("is larger than {} KiB, the most that is read here", .0 / 1024)]
    Large(u64),
    /// It is no text.
    #[error("is not text (UTF-8)")]
    Binary,
    /// Anything else.
    #[error("can't be read: {0}")]
    Other(String),
}

impl From<std::io::Error> for FileError {
    fn from(error: std::io::Error) -> Self {
        if let Some(known) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return known.clone();
        }
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Self::Missing,
            std::io::ErrorKind::PermissionDenied => Self::Forbidden,
            std::io::ErrorKind::IsADirectory => Self::Kind("a folder"),
            _ => {
                let text = error.to_string();
                Self::Other(text.split(" (os error").next().unwrap_or(&text).to_lowercase())
            }
        }
    }
}

/// Opens a regular file to be read. Never waits: what is no file is not opened, and what becomes one in between is
/// opened without waiting for whoever writes into it.
///
/// # Errors
/// When it is not there, is no regular file, or may not be read.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    regular(&std::fs::metadata(path)?)?;
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// A regular file, whole.
///
/// # Errors
/// As [`open_regular`]; when it has more than `bytes_max` bytes.
pub fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(FileError::Large(bytes_max)) } else { Ok(bytes) }
}

/// A regular file of text, whole.
///
/// # Errors
/// As [`read_bytes`]; when it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, FileError> {
    String::from_utf8(read_bytes(path, bytes_max)?).map_err(|_| FileError::Binary)
}

fn regular(metadata: &std::fs::Metadata) -> std::io::Result<()> {
    let kind = metadata.file_type();
    Err(std::io::Error::other(FileError::Kind(match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        std::fs::write(at("binary"), [0xff, 0xfe]).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(read_text(&at("file"), 5).unwrap(), "12345");
        for (path, bound, says) in [
            (at("file"), 4, "is larger than"),
            (at("binary"), 9, "is not text"),
            (at("fifo"), 9, "is a named pipe"),
            (at("socket"), 9, "is a socket"),
            (at("none"), 9, "it is not there"),
            (at("file/below"), 9, "it is not there"),
            (folder.path().to_owned(), 9, "is a folder"),
            ("/dev/zero".into(), 9, "is a device"),
        ] {
            let error = read_text(&path, bound).unwrap_err().to_string();
            assert!(error.contains(says), "{}: {error}", path.display());
        }
    }
}

//! Paths that stay inside of the working directory.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Longest path, in bytes.
const BYTES_MAX: usize = 1024;

/// A path relative to the working directory, of plain names only: nothing absolute, no `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InsidePath(String);

impl InsidePath {
    /// From what a message says.
    ///
    /// # Errors
    /// In words, when it would lead elsewhere or is no path of plain names.
    pub fn received(text: &str) -> Result<Self, String> {
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > BYTES_MAX {
            "it is too long"
        } else if text.contains(['\0', '\\']) || text.chars().any(char::is_control) {
            "it holds characters that no path needs"
        } else if text.starts_with('/') {
            "it is absolute"
        } else if text.split('/').any(|name| name.is_empty() || name == "." || name == "..") {
            "it is not made of plain names"
        } else {
            return Ok(Self(text.to_owned()));
        };
        let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
        Err(format!("the path `{shown}` is refused: {reason}"))
    }

    /// Of a file, from the working directory; `None` when it lies outside of that. Goes by names: what
    /// is a link is taken for what it is called.
    pub fn of(path: &Path, working_directory: &Path) -> Option<Self> {
        let whole = plain(&working_directory.join(path))?;
        let inside = whole.strip_prefix(plain(working_directory)?).ok()?;
        Self::received(inside.to_str()?).ok()
    }

    /// The path below a folder.
    pub fn under(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }

    /// As text, with slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InsidePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Without `.` and `..`; `None` where it leads above the root.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_taken_stays_inside(text in "[./a\\\\\0 -]{0,12}|\\PC{0,20}") {
            if let Ok(path) = InsidePath::received(&text) {
                let root = Path::new("/root/of/all");
                let whole = path.under(root);
                prop_assert!(whole.starts_with(root) && whole != root, "{}", whole.display());
                prop_assert!(whole.components().all(|c| !matches!(c, Component::ParentDir)));
                prop_assert_eq!(InsidePath::of(&whole, root), Some(path));
            }
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for text in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a//b",
            "a/",
            "a\0b",
            "a\\b",
            "C:\\x",
            "a/./b",
            "a\nb",
        ] {
            assert!(InsidePath::received(text).is_err(), "{text:?}");
        }
        assert!(InsidePath::received(&"a/".repeat(600)).is_err());
        assert_eq!(InsidePath::received("data/..a/b..csv").unwrap().as_str(), "data/..a/b..csv");
    }

    #[test]
    fn files_are_placed_by_their_names() {
        let here = Path::new("/work/here");
        let of = |path: &str| InsidePath::of(Path::new(path), here).map(|path| path.to_string());
        assert_eq!(of("workloads/../data/x.csv").as_deref(), Some("data/x.csv"));
        assert_eq!(of("/work/here/data/x.csv").as_deref(), Some("data/x.csv"));
        assert_eq!(of("./x.csv").as_deref(), Some("x.csv"));
        for outside in ["../x.csv", "/etc/passwd", "/work/here", "a/../../x", "/../.."] {
            assert_eq!(of(outside), None, "{outside}");
        }
    }
}

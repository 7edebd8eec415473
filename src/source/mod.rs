//! Files that users write: their text, where each value stands in it, and YAML behind one door.

mod located;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use located::Located;

use crate::model::{Place, Problem, Problems};

/// Most bytes that a file of a user may have.
const SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One file that a user wrote: how it is named in errors, what it says, and the folder from which
/// it names other files (feeds, certificates).
#[derive(Clone, Debug)]
pub struct Source {
    /// As the user would name it: `profiles/peak.yaml`, or `built-in profiles/peak.yaml`.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
    /// Folder that relative paths in the text start from.
    pub folder: PathBuf,
}

impl Source {
    /// A text that is not in a file of the working directory.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>, folder: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), text: text.into(), folder: folder.into() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A problem naming the file, when it can't be read, is too large or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let name = path.display().to_string();
        let place = || Place { file: name.clone(), ..Place::default() };
        let size = std::fs::metadata(path).map_err(|e| Problem::new(place(), format!("can't be read: {e}")))?.len();
        if size > SIZE_BYTES_MAX {
            return Err(Problem::new(place(), format!("is {size} bytes long; at most {SIZE_BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| Problem::new(place(), format!("can't be read: {e}")))?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self::new(name, text, folder))
    }

    /// Reads the text as one YAML document. Unknown keys are errors where the type says so.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        serde_saphyr::from_str(&self.text).map_err(|error| {
            let location = error.location();
            let place = Place {
                file: self.name.clone(),
                line: location.map_or(0, |l| usize::try_from(l.line()).unwrap_or(0)),
                column: location.map_or(0, |l| usize::try_from(l.column()).unwrap_or(0)),
                key: String::new(),
            };
            let text = error.without_snippet().to_string();
            // The place is said by us, in one form for all problems.
            let message = text.split(" at line ").next().unwrap_or(&text).trim().to_owned();
            Problems::from(Problem::new(place, message))
        })
    }

    /// A problem about the file as a whole.
    pub fn problem(&self, key: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem::new(Place { file: self.name.clone(), key: key.into(), ..Place::default() }, message)
    }

    /// A problem with one value.
    pub fn problem_at<T>(&self, value: &Located<T>, key: impl Into<String>, message: impl Into<String>) -> Problem {
        let place = Place { file: self.name.clone(), line: value.line, column: value.column, key: key.into() };
        Problem::new(place, message)
    }

    /// A path written in this file, from the folder of the file.
    pub fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }
}

//! Files that users write: their text, where each value stands in it, and YAML behind one door.

mod located;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

pub use located::Located;

use crate::files::read_text;
use crate::model::{Place, Problem, Problems};

/// Most bytes that a file of a user may have.
const SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How a mistake begins that has a credential at its place.
pub const CREDENTIAL_WRITTEN: &str = "a credential can't stand in a file";

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
        let text = read_text(path, SIZE_BYTES_MAX)
            .map_err(|error| Problem::new(Place { file: name.clone(), ..Place::default() }, error.to_string()))?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self::new(name, text, folder))
    }

    /// Reads the text as one YAML document. Unknown keys are errors where the type says so.
    ///
    /// # Errors
    /// The first mistake, with its line, its column and the path of keys that leads to it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        let mut track = serde_path_to_error::Track::new();
        let read = serde_saphyr::with_deserializer_from_str(&self.text, |deserializer| {
            T::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track))
        });
        read.map_err(|error| {
            let location = error.location();
            let place = Place {
                file: self.name.clone(),
                line: location.map_or(0, |l| usize::try_from(l.line()).unwrap_or(0)),
                column: location.map_or(0, |l| usize::try_from(l.column()).unwrap_or(0)),
                key: path_of_keys(&track.path()),
            };
            let text = error.without_snippet().to_string();
            // The place is said by us, in one form for all problems.
            let message = text.split(" at line ").next().unwrap_or(&text).trim().to_owned();
            let veiled = message.contains(CREDENTIAL_WRITTEN);
            let told = words::told(&message, place.line, &self.text);
            let (line, column) = told.at.unwrap_or((place.line, place.column));
            let problem = Problem { veiled, ..Problem::new(Place { line, column, ..place }, told.message) };
            Problems::from(match told.help {
                Some(help) => problem.with_help(help),
                None => problem,
            })
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

/// Any value as a YAML document.
///
/// # Errors
/// In words, when the value is of a kind that YAML can't hold.
pub fn to_yaml(value: &impl Serialize) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| format!("can't be written as YAML: {error}"))
}

/// As a user would write it: `scenarios.api.stages[1].target`, without the steps that only say how
/// places are remembered.
fn path_of_keys(path: &serde_path_to_error::Path) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("[{index}]")),
            Segment::Map { key } if key == "value" || key == "referenced" || key == "defined" => {}
            Segment::Map { key } => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::model::Span;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Scenario {
        #[expect(dead_code, reason = "only its reading is tested")]
        duration: Located<Span>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[expect(dead_code, reason = "only its reading is tested")]
        scenarios: BTreeMap<String, Located<Vec<Located<Scenario>>>>,
    }

    fn problem(text: &str) -> Problem {
        Source::new("f.yaml", text, "").parse::<File>().unwrap_err().0.remove(0)
    }

    #[test]
    fn a_mistake_has_its_line_its_keys_and_a_way_out() {
        let slip = problem("scenarios:\n  api:\n    - duraton: 5s\n");
        assert_eq!((slip.place.line, slip.place.key.as_str()), (3, "scenarios.api[0].duraton"), "{slip}");
        assert_eq!(slip.help.as_deref(), Some("did you mean `duration`?"));
        let unit = problem("scenarios:\n  api:\n    - duration: 5 parsecs\n");
        assert_eq!((unit.place.line, unit.place.key.as_str()), (3, "scenarios.api[0].duration"), "{unit}");
        assert!(unit.message.contains("parsecs"), "{unit}");
        let yaml = problem("scenarios: [");
        assert!(yaml.place.line > 0, "{yaml}");
    }
}

//! Where profiles, workloads and targets are found by name: the working directory first, then what
//! is built into the binary.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use slatest_core::model::{Place, Problem, Problems, nearest};
use slatest_core::source::Source;

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../profiles");
static WORKLOADS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../workloads");
static TARGETS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../targets");

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// `profiles/`
    Profiles,
    /// `workloads/`
    Workloads,
    /// `targets/`
    Targets,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Profiles, Self::Workloads, Self::Targets];

    /// Name of the folder.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Workloads => "workloads",
            Self::Targets => "targets",
        }
    }

    const fn singular(self) -> &'static str {
        match self {
            Self::Profiles => "profile",
            Self::Workloads => "workload",
            Self::Targets => "target",
        }
    }

    /// The files that are built in: (file name, text).
    pub fn built_in(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let folder = match self {
            Self::Profiles => &PROFILES,
            Self::Workloads => &WORKLOADS,
            Self::Targets => &TARGETS,
        };
        folder.files().filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)))
    }
}

/// The files at hand.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
    /// Files that are texts of this process alone.
    put: HashMap<(Shelf, String), Source>,
}

impl Library {
    /// With the files of a working directory before those built in.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), put: HashMap::new() }
    }

    /// Puts a text in, which is found by its name before everything else.
    pub fn put(&mut self, shelf: Shelf, name: impl Into<String>, source: Source) {
        self.put.insert((shelf, name.into()), source);
    }

    /// Finds a profile; see [`Library::find`].
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn profile(&self, name: &str) -> Result<Source, Problems> {
        Ok(self.find(Shelf::Profiles, name)?)
    }

    /// Finds a workload; see [`Library::find`].
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn workload(&self, name: &str) -> Result<Source, Problems> {
        Ok(self.find(Shelf::Workloads, name)?)
    }

    /// Finds a target; see [`Library::find`].
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn target(&self, name: &str) -> Result<Source, Problems> {
        Ok(self.find(Shelf::Targets, name)?)
    }

    /// Finds a file. A name with a slash or ending in `.yaml` is a path; otherwise it is looked up.
    ///
    /// # Errors
    /// A problem that says what there is, when there is no such file or it can't be read.
    pub fn find(&self, shelf: Shelf, name: &str) -> Result<Source, Problem> {
        if let Some(source) = self.put.get(&(shelf, name.to_owned())) {
            return Ok(source.clone());
        }
        if name.contains('/') || Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml") {
            return self.read(Path::new(name));
        }
        let file = format!("{name}.yaml");
        let own = Path::new(shelf.folder()).join(&file);
        if self.folder.join(&own).exists() {
            return self.read(&own);
        }
        if let Some((_, text)) = shelf.built_in().find(|(built_in, _)| *built_in == file) {
            return Ok(Source::new(format!("built-in {}/{file}", shelf.folder()), text, &self.folder));
        }
        let names = self.names(shelf);
        let known = names.iter().map(String::as_str);
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`? There is {}", names.join(", ")),
            None => format!("there is {}; or give the path of a file", names.join(", ")),
        };
        Err(Problem::new(Place::default(), format!("there is no {} `{name}`", shelf.singular())).with_help(help))
    }

    /// Names of all files at hand, sorted.
    pub fn names(&self, shelf: Shelf) -> Vec<String> {
        let stem = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
        let mut names: Vec<String> = shelf.built_in().filter_map(|(file, _)| stem(Path::new(file))).collect();
        if let Ok(entries) = std::fs::read_dir(self.folder.join(shelf.folder())) {
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            names.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")).filter_map(|p| stem(&p)));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Reads a file, which is named in errors as it was given.
    fn read(&self, path: &Path) -> Result<Source, Problem> {
        let whole = self.folder.join(path);
        let named = |mut problem: Problem| {
            problem.place.file = path.display().to_string();
            problem
        };
        let source = Source::read(&whole).map_err(named)?;
        Ok(Source { name: path.display().to_string(), ..source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_working_directory_comes_first_and_paths_are_paths() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::new(folder.path());
        assert_eq!(library.find(Shelf::Profiles, "peak").unwrap().name, "built-in profiles/peak.yaml");
        std::fs::create_dir(folder.path().join("profiles")).unwrap();
        std::fs::write(folder.path().join("profiles/peak.yaml"), "name: mine").unwrap();
        let mine = library.find(Shelf::Profiles, "peak").unwrap();
        assert_eq!((mine.name.as_str(), &*mine.text), ("profiles/peak.yaml", "name: mine"));
        assert_eq!(mine.folder, folder.path().join("profiles"));
        assert_eq!(&*library.find(Shelf::Targets, "profiles/peak.yaml").unwrap().text, "name: mine");
        assert!(library.names(Shelf::Profiles).contains(&"soak".to_owned()));
        let slip = library.find(Shelf::Profiles, "paek").unwrap_err();
        assert!(slip.to_string().contains("did you mean `peak`"), "{slip}");
        let nowhere = library.find(Shelf::Profiles, "./nowhere.yaml").unwrap_err();
        assert!(nowhere.to_string().contains("nowhere.yaml: can't be read"), "{nowhere}");
    }
}

//! What the fuzz targets have in common.

use std::path::Path;
use std::sync::LazyLock;

use slatest_core::model::Problems;

/// A folder of this process, in memory where there is such a place.
pub fn folder() -> &'static Path {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a temporary folder");
        std::fs::create_dir(folder.path().join("workloads")).expect("a folder");
        folder
    });
    FOLDER.path()
}

/// Every problem says something, and where.
pub fn places(problems: &Problems) {
    assert!(!problems.0.is_empty(), "refused without a reason");
    for problem in &problems.0 {
        assert!(!problem.message.trim().is_empty(), "{problem}");
        assert!(!problem.place.file.is_empty(), "{problem}");
        assert!(problem.place.line > 0 || !problem.place.key.is_empty(), "{problem}");
    }
}

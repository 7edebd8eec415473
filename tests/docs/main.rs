//! What the documents say is true: places exist, examples are taken, pages stay short enough to be read.

mod examples;
mod places;

use std::path::{Path, PathBuf};

/// Every page for people, by its place in the repository.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "tests/stack/README.md", "benches/README.md"];
    let mut pages: Vec<PathBuf> = top.into_iter().map(PathBuf::from).collect();
    for folder in ["docs", "docs/decisions", "docs/platforms"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "md") {
                pages.push(path.strip_prefix(root).expect("a place in the repository").to_owned());
            }
        }
    }
    pages.sort();
    pages
        .into_iter()
        .map(|page| {
            let text = std::fs::read_to_string(root.join(&page)).expect("the page can be read");
            (page, text)
        })
        .collect()
}

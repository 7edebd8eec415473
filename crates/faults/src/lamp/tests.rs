//! An injector is one folder and its two lines: nothing else knows this one, and it works.

use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::registry::tests::context;
use crate::{FaultSpec, InjectSpec, Soundness, Target, check_target, compile};
use slatest_core::source::Source;
use slatest_core::target::Guard;

const TARGET: &str = "name: t\nenvironment: sandbox\nallow: { hosts: [here], drills: true }\nendpoints: {}\nfaults:\n";

fn source(fault: &str) -> Source {
    Source::new("targets/t.yaml", format!("{TARGET}  dark: {fault}\n"), "/")
}

#[tokio::test]
async fn it_is_planned_injected_and_healed_as_every_other() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hall"), "").unwrap();
    let target: Target<IgnoredAny> = source("{ lamp: { lit: hall } }").parse().unwrap();
    let fault = compile(&target.faults["dark"].value, &context(folder.path())).unwrap();
    let undo = fault.plan().await.unwrap();
    fault.inject(&undo).await.unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    assert!(fault.plan().await.is_err(), "what is broken is not broken again");
    fault.heal(&undo).await.unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
}

#[test]
fn its_mistakes_have_their_places_and_a_drill_can_write_it() {
    let wrong = source("{ lamp: { lit: '' } }");
    let target: Target<IgnoredAny> = wrong.parse().unwrap();
    let guard = Guard::new(&target.allow).unwrap();
    let problems = check_target(&wrong, &target, &guard).unwrap_err().0;
    assert_eq!((problems[0].place.line, problems[0].place.key.as_str()), (6, "faults.dark.lamp.lit"));
    let slip = source("{ lamp: { lti: a } }").parse::<Target<IgnoredAny>>().unwrap_err();
    assert!(slip.0[0].message.contains("lti"), "{slip:?}");
    let inline: InjectSpec = serde_saphyr::from_str("{ lamp: { lit: hall } }").unwrap();
    assert!(matches!(inline, InjectSpec::Inline(FaultSpec::Lamp(_))));
}

/// Source files below a folder that name this injector.
fn named_in(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_in(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            if text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with("lamp")) {
                found.push(path);
            }
        }
    }
}

#[test]
fn no_other_source_file_knows_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut found = Vec::new();
    for folder in ["crates", "src"] {
        named_in(&root.join(folder), &mut found);
    }
    let places = found.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap());
    let mut others: Vec<&str> = places.filter(|place| !place.starts_with("crates/faults/src/lamp/")).collect();
    others.sort_unstable();
    assert_eq!(others, ["crates/faults/src/lib.rs", "crates/faults/src/registry.rs"]);
}

//! JSON Schemas of the files that users write, for editors that complete and check as they type.

use schemars::{Schema, schema_for};

use slatest_drivers::drivers;
use slatest_engine::profile::ProfileFile;
use slatest_engine::profile::Target;

/// Folder of the schemas, where the files' first lines point to.
pub const FOLDER: &str = "schema";

/// Every schema: (file name, text).
pub fn schemas() -> Vec<(String, String)> {
    let mut all = vec![
        ("profile.json".to_owned(), text(&schema_for!(ProfileFile))),
        ("target.json".to_owned(), text(&schema_for!(Target))),
    ];
    all.extend(drivers().map(|driver| (format!("workload-{}.json", driver.name()), text(&driver.schema()))));
    all
}

fn text(schema: &Schema) -> String {
    // The alternate form of a JSON value is its pretty one.
    format!("{:#}\n", schema.as_value())
}

#[cfg(all(
    test,
    feature = "http",
    feature = "websocket",
    feature = "kafka",
    feature = "sql",
    feature = "redis",
    feature = "amqp"
))]
mod tests {
    use std::path::Path;

    use super::*;
    use slatest_engine::profile::Shelf;

    /// Set to write the repository's copies anew.
    const UPDATE: &str = "SLATEST_UPDATE_SCHEMA";

    #[test]
    fn the_repository_has_the_schemas_of_this_version() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
        let update = std::env::var_os(UPDATE).is_some();
        for (name, text) in schemas() {
            let file = folder.join(&name);
            if update {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, &text).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == text,
                "schema/{name} is not of this version: run the tests with {UPDATE}=1 to write it anew"
            );
        }
    }

    #[test]
    fn every_shipped_file_fits_the_schema_that_its_first_line_names() {
        let schemas = schemas();
        for shelf in Shelf::ALL {
            for (file, text) in shelf.built_in() {
                let at = format!("{}/{file}", shelf.folder());
                let first = text.lines().next().unwrap_or_default();
                let named = first
                    .strip_prefix("# yaml-language-server: $schema=../schema/")
                    .unwrap_or_else(|| panic!("{at} doesn't name its schema in its first line"));
                let (_, schema) =
                    schemas.iter().find(|(name, _)| name == named).unwrap_or_else(|| panic!("{at}: {named}"));
                let schema = serde_json::from_str(schema).unwrap();
                let validator = jsonschema::validator_for(&schema).unwrap();
                let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
                let errors: Vec<String> =
                    validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
                assert!(errors.is_empty(), "{at}: {errors:#?}");
            }
        }
    }

    #[test]
    fn a_schema_refuses_what_the_program_refuses() {
        let schema = serde_json::to_value(schema_for!(ProfileFile)).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for (text, fits) in [
            ("name: a\nscenarios: { api: { workload: w, executor: constant-arrival-rate, rate: 300/s } }", true),
            (
                "name: a\nscenarios: { api: { workload: w, executor: constant-arrival-rate, rate: 300/fortnight } }",
                false,
            ),
            ("name: a\nscenarios: { api: { workload: w, executor: constant-arrival-rate, speed: 300/s } }", false),
            ("name: a\nscenarios: { api: { workload: w, executor: constant } }", false),
            ("scenarios: {}", false),
        ] {
            let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
            assert_eq!(validator.is_valid(&value), fits, "{text}");
        }
    }
}

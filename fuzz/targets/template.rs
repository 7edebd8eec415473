//! A template, whatever it says: refused, or rendered within bounds and the same twice.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use slatest_core::source::{Located, Source};
use slatest_drivers::workload::{Captures, Data, ExecutionId, JsonPath, JsonTemplate, Template, Values};

/// Most bytes that a template may render to, and some for what it was written in.
const LENGTH_MAX: usize = 17 << 20;

fuzz_target!(|text: &str| {
    let source = Source::new("w.yaml", text, "");
    let captures = ["token".to_owned()];
    let data = Arc::new(Data::default());
    let captured = BTreeMap::from([("token".to_owned(), "abc".to_owned())]);
    let id = ExecutionId { seed: 1, run: "r".into(), scenario: "s".into(), seq: 3, step: 0, user: 5 };
    let values = Values { id, data: &data, captured: &captured };
    if let Ok(template) = Template::compile(&source, &Located::from(text.to_owned()), "key", &data, &captures) {
        let first = template.render(&values);
        if let Ok(first) = &first {
            assert!(first.len() <= LENGTH_MAX, "{} bytes", first.len());
        }
        assert_eq!(first.ok(), template.render(&values).ok(), "one execution, one text");
    }
    if let Ok(document) = serde_json::from_str::<serde_json::Value>(text) {
        if let Ok(template) = JsonTemplate::compile(&source, &document.clone().into(), "key", &data, &captures)
            && let Ok(rendered) = template.render(&values)
        {
            serde_json::from_str::<serde_json::Value>(&rendered).expect("a JSON template renders JSON");
        }
    }
    let (path, document) = text.split_once('\n').unwrap_or((text, "{}"));
    let document = serde_json::from_str(document).ok();
    if let Ok(path) = JsonPath::compile(path)
        && let Some(document) = &document
    {
        path.first(document);
    }
    let specs = BTreeMap::from([("kept".to_owned(), Located::from(path.to_owned()))]);
    if let Ok(captures) = Captures::compile(&source, &specs, "capture") {
        let mut kept = BTreeMap::new();
        drop(captures.take(document.as_ref(), |_| Some("text"), &mut kept));
    }
});

//! What users write.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use slatest_core::source::{Located, Source};
use slatest_core::target::Guard;
use slatest_drivers::CompileContext;
use slatest_drivers::workload::{Captures, Data, ExecutionId, JsonPath, JsonTemplate, Template, Values};
use slatest_engine::profile::{Library, Overrides, Target, resolve};

use super::{Read, Seeds, root, shipped};

const TARGET: &str = "
name: t
environment: sandbox
allow: { hosts: [127.0.0.1], max_rate: 20000/s }
endpoints:
  http: { http: 'http://127.0.0.1:1/v2' }
  websocket: { websocket: 'ws://127.0.0.1:1' }
  kafka: { kafka: ['127.0.0.1:1'] }
  sql: { sqlite: store.db }
  redis: { redis: ['redis://127.0.0.1:1'] }
  amqp: { amqp: { env: SLATEST_FUZZ_AMQP } }
  api: { http: 'http://127.0.0.1:1' }
  sync: { websocket: 'ws://127.0.0.1:1' }
  echo: { websocket: 'ws://127.0.0.1:1' }
  events: { kafka: ['127.0.0.1:1'] }
  database: { sqlite: store.db }
  cache: { redis: ['redis://127.0.0.1:1'] }
  queue: { amqp: { env: SLATEST_FUZZ_AMQP } }
";

const EXPERIMENT: &str = r#"{
  "title": "What if the primary dies?",
  "steady-state-hypothesis": { "title": "It answers", "probes": [
    { "type": "probe", "name": "port", "tolerance": 0, "provider": { "type": "process", "path": "nc", "arguments": "-z 127.0.0.1 5432" } } ] },
  "method": [
    { "type": "action", "name": "Kill the primary!", "pauses": { "before": 5, "after": 20 },
      "provider": { "type": "process", "path": "pg_ctl", "timeout": 10, "arguments": ["stop", "-m", "immediate"], "env": { "PGPASSWORD": "x" } } },
    { "type": "action", "name": "call", "provider": { "type": "http", "url": "http://127.0.0.1:8080/", "method": "POST", "timeout": 3 } },
    { "type": "probe", "name": "still there", "provider": { "type": "python", "module": "m", "func": "f" } } ],
  "rollbacks": [
    { "type": "action", "name": "start it", "provider": { "type": "process", "path": "pg_ctl", "arguments": ["start"] } } ]
}"#;

/// Files that are no text are refused before they are a [`Source`].
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn resolved(profile: &str, target: &str) -> bool {
    let root = root();
    let profile = Source::new("profiles/p.yaml", profile, &root);
    let target = Source::new("targets/t.yaml", target, &root);
    let overrides = Overrides { seed: Some(1), ..Overrides::default() };
    match resolve(&Library::new(root.as_path()), &profile, &target, &overrides, "mutated") {
        Ok(resolved) => serde_json::to_string(&resolved.plan).is_ok(),
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            false
        }
    }
}

pub fn profile() -> (Seeds, Read) {
    (shipped("profiles", ".yaml"), Box::new(|bytes| text(bytes).is_some_and(|text| resolved(text, TARGET))))
}

pub fn target() -> (Seeds, Read) {
    let profile = fs::read_to_string(root().join("profiles/smoke.yaml")).unwrap();
    let mut seeds = shipped("targets", ".yaml");
    seeds.push(TARGET.into());
    (seeds, Box::new(move |bytes| text(bytes).is_some_and(|text| resolved(&profile, text))))
}

pub fn chaos_toolkit() -> (Seeds, Read) {
    let read = |bytes: &[u8]| {
        let Some(text) = text(bytes) else { return false };
        slatest_faults::chaostoolkit::import(&Source::new("experiment.json", text, "/")).is_ok()
    };
    (vec![EXPERIMENT.into()], Box::new(read))
}

/// Whether a driver takes a workload whose files lie in `folder`.
fn compiled(driver: &str, workload: &str, folder: &Path) -> bool {
    let target_source = Source::new("targets/t.yaml", TARGET, folder);
    let target: Target = target_source.parse().unwrap();
    let guard = Guard::new(&target.allow).unwrap();
    let source = Source::new("workloads/w.yaml", workload, folder);
    let driver = slatest_drivers::driver(driver).unwrap();
    let compiled = driver.compile(&CompileContext {
        source: &source,
        endpoint: &target.endpoints[driver.name()].value,
        endpoint_name: driver.name(),
        target: &target_source,
        target_folder: folder,
        guard: &guard,
        scenario: "mutated",
        sessions: Some(8),
        seed: 7,
        run: "mutated",
    });
    compiled.is_ok()
}

pub fn workload(driver: &str) -> (Seeds, Read) {
    let of_driver = format!("driver: {driver}");
    let mut seeds = shipped("workloads", ".yaml");
    seeds.retain(|seed| text(seed).unwrap().contains(&of_driver));
    let driver = driver.to_owned();
    (seeds, Box::new(move |bytes| text(bytes).is_some_and(|text| compiled(&driver, text, &root()))))
}

pub fn feed(kind: &str, folder: &Path) -> (Seeds, Read) {
    let workload = format!(
        "name: w\ndriver: http\nendpoint: http\ndata: {{ rows: {{ {kind}: rows }} }}\n\
         operations:\n  - {{ name: get, request: {{ get: '/{{{{ rows.id }}}}' }} }}\n"
    );
    let seeds: [&[u8]; 2] = match kind {
        "csv" => [b"id,name\n1,one\n2,\"two, and \"\"more\"\"\"\n", b"id\na\nb\nc\n"],
        _ => [b"{\"id\":1,\"name\":\"one\"}\n{\"id\":2,\"more\":[1,{\"a\":null}]}\n", b"{\"id\":\"a\"}\n"],
    };
    let folder = folder.to_owned();
    let read = move |bytes: &[u8]| {
        fs::create_dir_all(folder.join("workloads")).unwrap();
        for place in [folder.join("rows"), folder.join("workloads/rows")] {
            fs::write(place, bytes).unwrap();
        }
        compiled("http", &workload, &folder)
    };
    (seeds.map(<[u8]>::to_vec).to_vec(), Box::new(read))
}

pub fn template() -> (Seeds, Read) {
    let data = Arc::new(Data::default());
    let read = move |bytes: &[u8]| {
        let Some(text) = text(bytes) else { return false };
        let source = Source::new("w.yaml", text, "");
        let captured = BTreeMap::from([("token".to_owned(), "abc".to_owned())]);
        let id = ExecutionId { seed: 1, run: "r".into(), scenario: "s".into(), seq: 3, step: 0, user: 5 };
        let values = Values { id, data: &data, captured: &captured };
        let captures = ["token".to_owned()];
        let template = Template::compile(&source, &Located::from(text.to_owned()), "key", &data, &captures);
        let rendered = template.is_ok_and(|template| template.render(&values).is_ok());
        let document = serde_json::from_str::<serde_json::Value>(text).ok();
        let document = document.and_then(|document| {
            JsonTemplate::compile(&source, &document.into(), "key", &data, &captures)
                .ok()?
                .render(&values)
                .ok()
                .map(drop)
        });
        rendered || document.is_some()
    };
    let mut seeds = shipped("fuzz/seeds/template", "");
    seeds.push(b"{% for i in range(3) %}{{ i }}{{ token }}{% endfor %}{{ random.text(10) }}".to_vec());
    seeds.push(br#"{"id":"{{ seq }}","a":["{{ fake.name }}",{"b":"{{ token | upper }}"}]}"#.to_vec());
    (seeds, Box::new(read))
}

pub fn json_path() -> (Seeds, Read) {
    let read = |bytes: &[u8]| {
        let Some((path, document)) = text(bytes).and_then(|text| text.split_once('\n')) else { return false };
        let document: Option<serde_json::Value> = serde_json::from_str(document).ok();
        let source = Source::new("w.yaml", path, "");
        let specs = BTreeMap::from([("kept".to_owned(), Located::from(path.to_owned()))]);
        let (Some(document), Ok(path)) = (document, JsonPath::compile(path)) else { return false };
        path.first(&document);
        let kept = RefCell::new(BTreeMap::new());
        Captures::compile(&source, &specs, "capture")
            .is_ok_and(|captures| captures.take(Some(&document), |_| None, &mut kept.borrow_mut()).is_ok())
    };
    let deep = format!("$..id\n{}{{\"id\":1}}{}", "[".repeat(100), "]".repeat(100));
    let wide = format!("$..[?@.id > 3].id\n[{}{{\"id\":9}}]", "{\"id\":[1,2,{\"id\":3}]},".repeat(3_000));
    let seeds = [
        "$.a.b[0]\n{\"a\":{\"b\":[1]}}",
        "$['a']['b'][?@.c == 'x'].d\n{\"a\":{\"b\":[{\"c\":\"x\",\"d\":4}]}}",
        deep.as_str(),
        wide.as_str(),
    ];
    (seeds.map(|seed| seed.as_bytes().to_vec()).to_vec(), Box::new(read))
}

//! A workload file of any driver, whatever it says: compiled, or refused with places.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use slatest_drivers::{CompileContext, drivers};
use slatest_engine::profile::Target;
use slatest_core::source::Source;
use slatest_core::target::Guard;

const TARGET: &str = "
name: t
environment: sandbox
allow: { hosts: [127.0.0.1] }
endpoints:
  http: { http: 'http://127.0.0.1:1/v2' }
  websocket: { websocket: 'ws://127.0.0.1:1' }
  kafka: { kafka: ['127.0.0.1:1'] }
  sql: { sqlite: store.db }
  redis: { redis: ['redis://127.0.0.1:1'] }
  amqp: { amqp: { env: SLATEST_FUZZ_AMQP } }
";

fuzz_target!(|text: &str| {
    let folder = slatest_fuzz::folder();
    let target_source = Source::new("targets/t.yaml", TARGET, folder);
    let target: Target = target_source.parse().expect("the target of the fuzzer");
    let guard = Guard::new(&target.allow).expect("its allow list");
    let source = Source::new("workloads/w.yaml", text, folder);
    for driver in drivers() {
        // Where the file says which driver it is for, the others have nothing to say of it.
        if text.contains("driver: ") && !text.contains(&format!("driver: {}", driver.name())) {
            continue;
        }
        let Some(endpoint) = target.endpoints.get(driver.name()) else { continue };
        let compiled = driver.compile(&CompileContext {
            source: &source,
            endpoint: &endpoint.value,
            endpoint_name: driver.name(),
            target: &target_source,
            target_folder: Path::new(folder),
            guard: &guard,
            scenario: "fuzz",
            sessions: Some(8),
            seed: 7,
            run: "fuzz",
        });
        match compiled {
            Ok(workload) => assert!(!workload.operations().is_empty(), "what does nothing is refused"),
            Err(problems) => slatest_fuzz::places(&problems),
        }
    }
});

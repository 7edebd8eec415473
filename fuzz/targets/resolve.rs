//! A profile, a workload and a target, whatever they say: resolved, or refused with places.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slatest_engine::profile::{Library, Overrides, Plan, resolve};
use slatest_core::source::Source;

const MARK: &str = "\n=====\n";

fuzz_target!(|text: &str| {
    let mut parts = text.split(MARK);
    let (Some(profile), Some(workload), Some(target)) = (parts.next(), parts.next(), parts.next()) else { return };
    let folder = slatest_fuzz::folder();
    std::fs::write(folder.join("workloads/w.yaml"), workload).expect("a file");
    let profile = Source::new("profiles/p.yaml", profile, folder);
    let target = Source::new("targets/t.yaml", target, folder);
    let overrides = Overrides { seed: Some(1), ..Overrides::default() };
    match resolve(&Library::new(folder), &profile, &target, &overrides, "fuzz") {
        Ok(resolved) => {
            let written = serde_json::to_string(&resolved.plan).expect("a plan can be written");
            let read: Plan = serde_json::from_str(&written).expect("and read back");
            assert_eq!(serde_json::to_string(&read).expect("a plan can be written"), written);
        }
        Err(problems) => slatest_fuzz::places(&problems),
    }
});

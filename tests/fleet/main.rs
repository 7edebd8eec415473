//! A coordinator with its agents as their users meet them: real processes, a target that counts.

#[path = "../conformance/relay.rs"]
#[expect(dead_code, reason = "made for other tests too")]
mod relay;
#[path = "../run/scratch.rs"]
mod scratch;

mod field;
mod losses;
mod resume;
mod whole;

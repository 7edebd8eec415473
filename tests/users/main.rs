//! Users as a balancer sees them: each with cookies, a token and connections of its own.

mod balancer;
mod peak;
#[path = "../run/scratch.rs"]
#[expect(dead_code, reason = "each test needs another part")]
mod scratch;
mod tokens;

//! `slatest run` as its users meet it: the real binary, a target whose every answer is known.

mod bounds;
mod cases;
mod ends;
mod faults;
mod gate;
mod history;
mod machine;
mod metrics;
mod outlets;
mod platform;
mod quick;
mod reports;
mod scratch;
mod secrets;
mod seeds;
mod verdicts;

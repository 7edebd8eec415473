//! One coordinator under many simulated agents: what it costs, and how far behind it is.
//!
//!     cargo bench --bench fleet -- --agents 1000 --operations 50 --seconds 60
//!
//! The agents are one process of their own: real TLS over loopback with certificates of the run, real
//! messages, made-up samples. The coordinator is this process: the real service, fleet and journal.

mod agents;
mod coordinator;
mod usage;

use std::error::Error;

/// How much.
#[derive(Clone, Copy, Debug)]
struct Size {
    agents: u64,
    operations: u16,
    seconds: u64,
    /// Samples of an operation in an interval.
    samples: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut size = Size { agents: 1_000, operations: 50, seconds: 60, samples: 20 };
    let mut join = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--agents" => size.agents = value()?.parse()?,
            "--operations" => size.operations = value()?.parse()?,
            "--seconds" => size.seconds = value()?.parse()?,
            "--samples" => size.samples = value()?.parse()?,
            "--join" => join = Some((value()?, value()?)),
            // What cargo adds.
            "--bench" => {}
            // `cargo test --benches`: there is nothing to check.
            "--test" | "--list" => return Ok(()),
            other => return Err(format!("{other} is no option").into()),
        }
    }
    match join {
        Some((address, token)) => agents::run(size, &address, &token),
        None => coordinator::run(size),
    }
}

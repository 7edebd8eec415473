//! What a WebSocket server sends into a document: taken, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

// A panic that the driver contains is no finding; one that it lets out still ends the process.
fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| slatest_drivers::fuzzing::sync(bytes));

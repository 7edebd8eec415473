//! What a WebSocket server sends into a document: taken, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| slatest::driver::fuzzing::sync(bytes));

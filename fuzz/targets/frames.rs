//! What an AMQP broker sends, as the check before lapin takes it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| slatest_drivers::fuzzing::frames(bytes));

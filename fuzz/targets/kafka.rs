//! What a Kafka broker answers, as the filter takes it before librdkafka.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| slatest_drivers::fuzzing::kafka(bytes));

//! What servers answer: RESP values, headers of messages, cookies and redirects, packed bodies; and
//! the texts that drivers take apart themselves: SQL statements and DSNs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => slatest_drivers::fuzzing::resp(bytes),
        1 => slatest_drivers::fuzzing::headers(bytes),
        2 => slatest_drivers::fuzzing::http(bytes),
        _ => slatest_drivers::fuzzing::sql(bytes),
    }
});

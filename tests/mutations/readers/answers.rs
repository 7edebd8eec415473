//! What targets say.

use slatest_drivers::fuzzing;

use super::{Read, Seeds, shipped};

/// How the entry point of the fuzz target `answers` is told apart: its first byte.
fn chosen(which: u8) -> Vec<Vec<u8>> {
    let mut seeds = shipped("fuzz/seeds/answers", "");
    seeds.retain(|seed| seed.first().is_some_and(|first| first % 4 == which));
    seeds.into_iter().map(|seed| seed[1..].to_vec()).collect()
}

/// What an AMQP broker says first, within one frame of method.
fn connection_start() -> Vec<u8> {
    let field = |name: &str, kind: u8, value: &[u8]| [&[name.len() as u8], name.as_bytes(), &[kind], value].concat();
    let long = |text: &[u8]| [&(text.len() as u32).to_be_bytes()[..], text].concat();
    let inner = field("publisher_confirms", b't', &[1]);
    let table = [field("product", b'S', &long(b"RabbitMQ")), field("capabilities", b'F', &long(&inner))].concat();
    let payload = [&[0, 10, 0, 10, 0, 9][..], &long(&table), &long(b"PLAIN"), &long(b"en_US")].concat();
    [&[200, 1, 0, 0][..], &long(&payload), &[0xce]].concat()
}

pub fn reader(name: &str) -> (Seeds, Read) {
    let (seeds, read): (Seeds, fn(&[u8])) = match name {
        "amqp frames" => (vec![connection_start()], fuzzing::frames),
        "redis resp" => (chosen(0), fuzzing::resp),
        "message headers" => (chosen(1), fuzzing::headers),
        "http answers" => (chosen(2), fuzzing::http),
        "postgresql messages" => {
            let mut seeds = chosen(3);
            seeds.push(b"SERROR\0C57014\0Mcanceling statement due to statement timeout\0\0".to_vec());
            seeds.push(b"\0\x02id\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0".to_vec());
            seeds.push(b"INSERT 0 7\0".to_vec());
            (seeds, fuzzing::sql)
        }
        "yjs updates" => (shipped("fuzz/seeds/sync", ""), fuzzing::sync),
        "kafka answers" => (shipped("fuzz/seeds/kafka", ""), fuzzing::kafka),
        other => panic!("no reader is called `{other}`"),
    };
    let read = move |bytes: &[u8]| {
        read(bytes);
        true
    };
    (seeds, Box::new(read))
}

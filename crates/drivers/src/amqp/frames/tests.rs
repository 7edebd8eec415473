//! What the broker sends, whole, broken and hostile.

use lapin::types::generation::gen_field_table;
use lapin::types::{AMQPValue, FieldTable, LongString};
use proptest::prelude::*;

use super::*;

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes(), payload, &[FRAME_END]].concat()
}

fn method(channel: u16, class: u16, number: u16, arguments: &[u8]) -> Vec<u8> {
    frame(METHOD, channel, &[&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat())
}

/// Tables, or arrays, in one another.
fn nested(depth: usize, array: bool) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..depth {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        value = if array { [b"A", &length[..], &value].concat() } else { [b"\x01aF", &length[..], &value].concat() };
    }
    let value = if array { [b"\x01a", &value[..]].concat() } else { value };
    [&u32::try_from(value.len()).unwrap().to_be_bytes()[..], &value].concat()
}

fn start(properties: &[u8]) -> Vec<u8> {
    let rest = b"\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US";
    method(0, 10, 10, &[b"\x00\x09", properties, rest].concat())
}

fn tune(frame_max: u32) -> Vec<u8> {
    method(0, 10, 30, &[b"\x07\xff", &frame_max.to_be_bytes()[..], b"\x00\x3c"].concat())
}

fn delivery(body: u64, properties: &[u8]) -> Vec<u8> {
    let deliver = method(1, 60, 60, b"\x01c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01q");
    let header = frame(HEADER, 1, &[&60_u16.to_be_bytes()[..], &[0, 0], &body.to_be_bytes(), properties].concat());
    [deliver, header].concat()
}

/// What is said of bytes: how many are handed on, and why no more.
fn said(bytes: &[u8]) -> (usize, Option<Violation>) {
    FrameCheck::new(FRAME_MAX_DEFAULT, BODY_BYTES_MAX_DEFAULT).admit(bytes, &mut drop)
}

fn refused(bytes: &[u8]) -> Option<Violation> {
    let (admitted, violation) = said(bytes);
    assert!(admitted < bytes.len(), "the frame is never whole");
    violation
}

#[test]
fn what_a_broker_says_is_handed_on() {
    let everything = [
        start(b"\x00\x00\x00\x00"),
        tune(131_072),
        method(0, 10, 41, b"\x00"),
        frame(HEARTBEAT, 0, b""),
        method(1, 20, 11, b"\x00\x00\x00\x00"),
        delivery(5, b"\x20\x00\x00\x00\x00\x03\x01aV"),
        frame(BODY, 1, b"hello"),
        method(0, 10, 60, b"\x03low"),
        method(0, 10, 61, b""),
        method(1, 60, 80, b"\x00\x00\x00\x00\x00\x00\x00\x01\x00"),
    ]
    .concat();
    assert_eq!(said(&everything), (everything.len(), None));
    // The same byte by byte, with what is noticed.
    let (mut check, mut notices) = (FrameCheck::new(FRAME_MAX_DEFAULT, BODY_BYTES_MAX_DEFAULT), Vec::new());
    for byte in &everything {
        assert_eq!(check.admit(&[*byte], &mut |notice| notices.push(notice)), (1, None));
    }
    assert!(matches!(notices[..], [Notice::Delivers(5..), Notice::Blocked, Notice::Unblocked]), "{notices:?}");
}

#[test]
fn tables_and_arrays_are_neither_deep_nor_large() {
    for array in [false, true] {
        assert_eq!(said(&start(&nested(20, array))).1, None);
        assert_eq!(refused(&start(&nested(4_000, array))), Some(Violation::TooDeep));
        let headers = [b"\x20\x00", &nested(4_000, array)[..]].concat();
        assert_eq!(refused(&delivery(0, &headers)), Some(Violation::TooDeep));
    }
    let fields = b"\x00V".repeat(5_000);
    let table = [&u32::try_from(fields.len()).unwrap().to_be_bytes()[..], &fields].concat();
    assert_eq!(refused(&start(&table)), Some(Violation::TooManyFields));
    assert_eq!(refused(&start(b"\xff\xff\xff\xff")), Some(Violation::NotAmqp));
    assert_eq!(refused(&start(b"\x00\x00\x00\x08\x01aS\xff\xff\xff\xff")), Some(Violation::NotAmqp));
}

#[test]
fn lengths_are_those_that_were_agreed_on() {
    let long = [&[METHOD, 0, 0][..], &(1_u32 << 31).to_be_bytes()].concat();
    assert_eq!(refused(&long), Some(Violation::FrameTooLong));
    assert_eq!(said(&tune(0)).1, None, "what we ask for holds");
    let after = |frame_max, length| {
        let body = frame(BODY, 1, &vec![0; length]);
        said(&[tune(frame_max), body].concat()).1
    };
    assert_eq!(after(0, 131_064), None);
    assert_eq!(after(0, 131_065), Some(Violation::FrameTooLong));
    assert_eq!(after(u32::MAX, 131_065), Some(Violation::FrameTooLong));
    assert_eq!(after(8_192, 8_185), Some(Violation::FrameTooLong));
    for frame_max in [1, 8, 4_095] {
        assert_eq!(refused(&tune(frame_max)), Some(Violation::FrameMaxTooSmall));
    }
    assert_eq!(refused(&delivery(BODY_BYTES_MAX_DEFAULT + 1, b"\x00\x00")), Some(Violation::BodyTooLong));
    assert_eq!(refused(&delivery(u64::MAX, b"\x00\x00")), Some(Violation::BodyTooLong));
}

#[test]
fn what_is_no_frame_or_no_servers_is_refused() {
    let not = Some(Violation::NotAmqp);
    assert_eq!(said(b"HTTP/1.1 400 Bad Request"), (0, not));
    assert_eq!(said(b"\x16"), (0, not), "at its first byte");
    assert_eq!(said(b"AMQP\x00\x01\x00\x00"), (8, None), "lapin says which version it is");
    assert_eq!(said(b"AMQP\x00\x01\x00\x00\x01"), (8, not));
    assert_eq!(refused(&frame(HEARTBEAT, 0, b"x")), not);
    assert_eq!(refused(&frame(METHOD, 0, b"\x00")), not);
    // A client's method, whose arguments nobody needs to know.
    assert_eq!(refused(&method(1, 50, 10, &nested(4_000, false))), not);
    // The header of a message must follow its method, once.
    assert_eq!(refused(&frame(HEADER, 1, &[0; 14])), not);
    let deliver = method(1, 60, 60, b"\x01c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01q");
    assert_eq!(refused(&deliver.repeat(2)), not);
    let mut broken = tune(0);
    *broken.last_mut().unwrap() = 0;
    assert_eq!(refused(&broken), not);
}

#[test]
fn nothing_goes_on_without_end() {
    assert_eq!(refused(&start(b"\x00\x00\x00\x00").repeat(20)), Some(Violation::TooManyOrders));
    let open = method(0, 10, 41, b"\x00");
    let flow = method(1, 20, 20, b"\x01").repeat(2_000);
    assert_eq!(refused(&[open.clone(), flow].concat()), Some(Violation::TooManyOrders));
    let back = method(1, 60, 50, b"\x01\x38\x08NO_ROUTE\x00\x01q");
    let header =
        frame(HEADER, 1, &[&60_u16.to_be_bytes()[..], &[0; 2], &(8_u64 << 20).to_be_bytes(), &[0; 2]].concat());
    let back = [back, header].concat();
    assert_eq!(refused(&[open.clone(), back.repeat(10)].concat()), Some(Violation::TooManyReturned));
    let confirmed = method(1, 60, 80, b"\x00\x00\x00\x00\x00\x00\x00\x01\x00");
    assert_eq!(said(&[open, [back.repeat(7), confirmed].concat().repeat(5)].concat()).1, None);
}

/// Any value that lapin can write.
fn value() -> impl Strategy<Value = AMQPValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        "[ -~]{0,40}".prop_map(|text| AMQPValue::LongString(LongString::from(text))),
        Just(AMQPValue::Void),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let table = proptest::collection::btree_map("[a-z]{1,8}", inner.clone(), 0..6).prop_map(table);
        let array = proptest::collection::vec(inner, 0..6);
        prop_oneof![table.prop_map(AMQPValue::FieldTable), array.prop_map(|all| AMQPValue::FieldArray(all.into()))]
    })
}

fn table(fields: std::collections::BTreeMap<String, AMQPValue>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert(name.into(), value);
    }
    table
}

proptest! {
    /// Whatever lapin writes as a table is one: none that a broker may send is refused.
    #[test]
    fn every_table_is_taken(fields in proptest::collection::btree_map("[a-z]{1,8}", value(), 0..8)) {
        let mut room = vec![0; 1 << 20];
        let table = table(fields);
        let written = gen_field_table(&table)(std::io::Cursor::new(&mut room[..]).into()).unwrap().into_inner();
        let length = usize::try_from(written.0.position()).unwrap();
        let taken = tables::check(&room[..length], 0);
        prop_assert!(taken.is_ok(), "{taken:?}");
    }

    /// Whatever comes, in whatever pieces: no more is handed on than came, nothing after a violation but what
    /// comes before it, and the pieces make no difference.
    #[test]
    fn pieces_make_no_difference(
        bytes in proptest::collection::vec(prop_oneof![
            Just(tune(0)), Just(start(b"\x00\x00\x00\x00")), Just(delivery(3, b"\x00\x00")), Just(frame(BODY, 1, b"abc")),
            Just(frame(HEARTBEAT, 0, b"")), proptest::collection::vec(any::<u8>(), 0..40),
        ], 0..8),
        at in 0_usize..200,
        flipped in any::<u8>(),
        piece in 1_usize..30,
    ) {
        let mut bytes = bytes.concat();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= flipped;
        }
        let whole = said(&bytes);
        let mut check = FrameCheck::new(FRAME_MAX_DEFAULT, BODY_BYTES_MAX_DEFAULT);
        let mut pieces = (0, None);
        for piece in bytes.chunks(piece) {
            let (admitted, violation) = check.admit(piece, &mut drop);
            pieces = (pieces.0 + admitted, violation);
            if violation.is_some() {
                break;
            }
        }
        prop_assert_eq!(whole.1, pieces.1);
        prop_assert!(whole.0 <= bytes.len() && pieces.0 <= bytes.len());
    }
}

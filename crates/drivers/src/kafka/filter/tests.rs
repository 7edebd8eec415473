//! What brokers say passes, and what they don't is found out.

use proptest::prelude::*;

use super::frames::{FrameError, Questions};
use super::fuzz::{self, question};
use super::records;
use super::schema;

/// One batch of one record, whose key is `k` and whose value is `value`.
fn batch(value: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 0, 2, b'k'];
    record.push(u8::try_from(value.len() * 2).unwrap());
    record.extend(value);
    record.push(0);
    let mut records = vec![u8::try_from(record.len() * 2).unwrap()];
    records.extend(record);
    packed(0, &records)
}

/// A batch of one record with what it holds in this packing.
fn packed(attributes: i16, records: &[u8]) -> Vec<u8> {
    fuzz::packed(attributes, 1, records)
}

#[test]
fn whole_batches_pass_and_the_last_may_be_cut_short() {
    let one = batch(b"value");
    assert_eq!(records::check(&one), Ok(()));
    assert_eq!(records::check(&[one.clone(), one.clone()].concat()), Ok(()));
    for cut in 1..one.len() {
        let short = [&one[..], &one[..cut]].concat();
        assert_eq!(records::check(&short), Ok(()), "cut after {cut}");
    }
}

#[test]
fn every_flipped_bit_of_a_batch_is_found_but_those_that_change_nothing() {
    let one = batch(b"value");
    for bit in 0..one.len() * 8 {
        let mut flipped = one.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Base offset and leader epoch aren't under the checksum; a longer batch is one that is cut short.
        let free = bit / 8 < 8 || (12..16).contains(&(bit / 8));
        let longer = (8..12).contains(&(bit / 8));
        assert!(records::check(&flipped).is_err() || free || longer, "bit {bit}");
    }
}

#[test]
fn packed_batches_are_unpacked_and_a_bomb_is_not() {
    let plain = batch(b"value");
    let inner = &plain[61..];
    let gzip = |bytes: &[u8]| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let lz4 = |bytes: &[u8]| {
        use std::io::Write as _;
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let snappy = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    for (attributes, packing) in [(1, &gzip as &dyn Fn(&[u8]) -> Vec<u8>), (2, &snappy), (3, &lz4), (4, &zstd)] {
        assert_eq!(records::check(&packed(attributes, &packing(inner))), Ok(()), "{attributes}");
        assert!(records::check(&packed(attributes, b"nothing that was ever packed")).is_err(), "{attributes}");
        let bomb = packing(&vec![0; 80 << 20]);
        assert!(records::check(&packed(attributes, &bomb)).is_err(), "{attributes}");
    }
    let xerial = [
        &b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..],
        &u32::try_from(snappy(inner).len()).unwrap().to_be_bytes(),
        &snappy(inner),
    ]
    .concat();
    assert_eq!(records::check(&packed(2, &xerial)), Ok(()));
}

#[test]
fn answers_belong_to_their_questions() {
    let mut questions = Questions::default();
    let bytes = [question(12, 0, 5, b"\0\x01a"), question(18, 0, 6, b"\0\x01a")].concat();
    // However the bytes come.
    for byte in &bytes {
        questions.sent(std::slice::from_ref(byte)).unwrap();
    }
    let heartbeat = questions.next().unwrap();
    assert_eq!(heartbeat.check(&[0, 0, 0, 5, 0, 0]), Ok(()));
    for wrong in [&[0, 0, 0, 6, 0, 0][..], &[0, 0, 0, 5, 0], &[0; 40], &[]] {
        assert!(matches!(heartbeat.check(wrong), Err(FrameError::Broken { question: "Heartbeat", .. })), "{wrong:?}");
    }
    assert!(questions.next().is_some() && questions.next().is_none());
}

#[test]
fn a_produce_without_acknowledgement_has_no_answer() {
    for (version, rest) in
        [(2, &b"\0\x07slatest\0\0"[..]), (7, b"\0\x07slatest\xff\xff\0\0"), (10, b"\0\x07slatest\0\0\0\0")]
    {
        let mut questions = Questions::default();
        questions.sent(&question(0, version, 1, rest)).unwrap();
        assert!(questions.next().is_none(), "{version}");
        let acknowledged = [&rest[..rest.len() - 2], &[0xff, 0xff]].concat();
        questions.sent(&question(0, version, 1, &acknowledged)).unwrap();
        assert!(questions.next().is_some(), "{version}");
    }
}

#[test]
fn old_logins_and_strange_questions_are_refused() {
    assert_eq!(Questions::default().sent(&question(17, 0, 1, b"")), Err(FrameError::OldSasl));
    assert_eq!(Questions::default().sent(&question(99, 0, 1, b"")), Err(FrameError::Unread(99)));
    assert!(Questions::default().sent(&[0, 0, 0, 1, 7]).is_err());
}

#[test]
fn lengths_that_are_not_there_are_found() {
    let metadata = schema::answer(3).unwrap();
    // Version 1: brokers, controller, topics.
    assert_eq!(metadata.check(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1), Ok(()));
    for count in [-2_i32, -1, 1, i32::MAX, i32::MIN] {
        let body = [&count.to_be_bytes()[..], &[0; 8]].concat();
        assert!(metadata.check(&body, 1).is_err(), "{count}");
    }
    assert!(metadata.check(&[0; 12], 99).is_err());
}

proptest! {
    /// Whatever a broker says to whatever was asked: an answer or an error, and never more work than its length.
    #[test]
    fn nothing_that_is_said_panics(key in 0_i16..80, version in 0_i16..20, body in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Some(answer) = schema::answer(key) {
            let _ = answer.check(&body, version);
        }
        let _ = records::check(&body);
        let _ = records::check(&packed(i16::from(body.first().copied().unwrap_or(0)), &body));
        let _ = Questions::default().sent(&body);
    }

    /// What the fuzz target tries, from batches that brokers could have written.
    #[test]
    fn whatever_turns_in_batches_and_questions_is_passed_on_or_found_out(
        which in 0_u8..8, key in 0_u8..70, version in 0_u8..14,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let seed = match which {
            2 => [batch(b"value"), batch(b"more")].concat(),
            3 => [question(12, 0, 5, b"\0\x01a"), question(0, 2, 6, b"\0\x07slatest\0\0")].concat(),
            _ => batch(b"value")[61..].to_vec(),
        };
        let mut bytes = [&[which, key, version][..], &seed].concat();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        fuzz::fuzz(&bytes);
    }
}

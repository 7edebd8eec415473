//! Answers of a broker, whatever they say: passed on or found out, never a panic.

use super::frames::Questions;
use super::records;

/// What the bytes after the first three are: the first says which, the others the question and its version.
///
/// # Panics
/// When the same question is another one once it comes in two pieces.
pub fn fuzz(bytes: &[u8]) {
    let Some((&[which, key, version], rest)) = bytes.split_first_chunk::<3>() else { return };
    match which % 4 {
        // An answer that belongs to its question.
        0 => {
            let mut questions = Questions::default();
            let question = question(i16::from(key), i16::from(version), 7, &[]);
            if questions.sent(&question).is_ok()
                && let Some(asked) = questions.next()
            {
                let _ = asked.check(&[&7_i32.to_be_bytes(), rest].concat());
            }
        }
        // Records with the checksum that they should have.
        1 => _ = records::check(&packed(i16::from(key), i32::from(version), rest)),
        2 => _ = records::check(rest),
        // Questions, as they come.
        _ => {
            let (first, second) = rest.split_at(usize::from(key).min(rest.len()));
            let (mut whole, mut pieces) = (Questions::default(), Questions::default());
            let sent = pieces.sent(first).and_then(|()| pieces.sent(second));
            assert_eq!(whole.sent(rest), sent, "in one piece and in two");
            while let Some(asked) = whole.next() {
                let same = pieces.next().map(|other| other.check(first)) == Some(asked.check(first));
                assert!(same, "in one piece and in two");
            }
        }
    }
}

/// A question as librdkafka frames it.
pub(super) fn question(key: i16, version: i16, correlation: i32, rest: &[u8]) -> Vec<u8> {
    let body = [&key.to_be_bytes()[..], &version.to_be_bytes(), &correlation.to_be_bytes(), rest].concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// A batch of so many records with what it holds in this packing.
pub(super) fn packed(attributes: i16, count: i32, records: &[u8]) -> Vec<u8> {
    let mut checked = attributes.to_be_bytes().to_vec();
    checked.extend(0_i32.to_be_bytes());
    checked.extend([0; 16]);
    checked.extend([0xff; 14]);
    checked.extend(count.to_be_bytes());
    checked.extend(records);
    let mut out = 7_i64.to_be_bytes().to_vec();
    out.extend((checked.len() as i32 + 9).to_be_bytes());
    out.extend(0_i32.to_be_bytes());
    out.push(2);
    out.extend(crc32c::crc32c(&checked).to_be_bytes());
    out.extend(checked);
    out
}

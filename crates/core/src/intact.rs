//! Whether what is read is what was written. Frames of bytes carry a length and a checksum, lines and documents of JSON a
//! checksum as their last field. What a kill leaves half written at the end of a file is told apart from what has turned since: the
//! first is cut off, the second never.

/// Length of what stands before a frame: its length and the CRC-32 of what follows, both little-endian.
pub const FRAME_BYTES: usize = 8;
/// Most bytes whose checksums are tried to find out whether a frame follows one that is not whole.
const CHECKED_BYTES_MAX: usize = 1 << 30;
/// What stands before the checksum of a line.
const SEAL: &[u8] = b",\"crc32\":\"";
/// Digits of a line's checksum.
const DIGITS: usize = 8;

/// The CRC-32 of some bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Length and checksum that stand before a frame.
pub fn frame_head(head: [u8; FRAME_BYTES]) -> (usize, u32) {
    let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
    (u32::from_le_bytes([l0, l1, l2, l3]) as usize, u32::from_le_bytes([c0, c1, c2, c3]))
}

/// Whether bytes behind the last whole frame are the beginning of one and no more: what a process leaves that is killed
/// while it writes. A frame that is whole and whose checksum is wrong has turned since, and so has one that others
/// follow. `longest`: most bytes of a frame.
pub fn is_torn(rest: &[u8], longest: usize) -> bool {
    // A file system may have made room and not written.
    if rest.iter().all(|byte| *byte == 0) {
        return true;
    }
    let Some((head, body)) = rest.split_first_chunk::<FRAME_BYTES>() else { return true };
    let (length, sum) = frame_head(*head);
    // Its length has turned where all that follows has its checksum.
    length <= longest && length > body.len() && checksum(body) != sum && !frame_follows(body)
}

/// Whether a whole frame stands anywhere in these bytes.
fn frame_follows(bytes: &[u8]) -> bool {
    let mut to_check = CHECKED_BYTES_MAX;
    bytes.windows(FRAME_BYTES).enumerate().any(|(at, head)| {
        let Some(head) = head.first_chunk::<FRAME_BYTES>() else { return false };
        let (length, sum) = frame_head(*head);
        let body = bytes.get(at + FRAME_BYTES..).and_then(|rest| rest.get(..length));
        let Some(body) = body.filter(|body| !body.is_empty() && body.len() <= to_check) else { return false };
        to_check -= body.len();
        checksum(body) == sum
    })
}

/// Gives a line that is one JSON object, without its end, its checksum as the last field.
pub fn seal(line: &mut Vec<u8>) {
    if line.pop_if(|last| *last == b'}').is_none() {
        return;
    }
    let sum = checksum(line);
    line.extend_from_slice(SEAL);
    line.extend_from_slice(format!("{sum:08x}\"}}").as_bytes());
}

/// Whether a line has turned since it was sealed. One without a seal is of an older slatest, and is believed.
pub fn has_turned(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let Some((rest, end)) = line.split_last_chunk::<{ DIGITS + 2 }>() else { return false };
    let Some(sealed) = rest.strip_suffix(SEAL).filter(|_| end.ends_with(b"\"}")) else { return false };
    let digits = std::str::from_utf8(end.get(..DIGITS).unwrap_or_default()).ok();
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) != Some(checksum(sealed))
}

/// Gives a document that is one JSON object, laid out for people, its checksum as the last field. It is over what the
/// document says: who lays it out anew, as `jq .` does, does not break it.
pub fn seal_document(text: &mut Vec<u8>) {
    let mut line = without_layout(text);
    let unsealed = line.len().saturating_sub(1);
    seal(&mut line);
    let Some(field) = line.get(unsealed + 1..) else { return };
    let Some(end) = text.iter().rposition(|byte| *byte == b'}') else { return };
    text.truncate(text.get(..end).unwrap_or_default().trim_ascii_end().len());
    text.extend_from_slice(b",\n  ");
    // A space behind the name, as every other field has.
    let (name, sum) = field.split_at(field.iter().position(|byte| *byte == b':').map_or(0, |at| at + 1));
    text.extend_from_slice(name);
    text.push(b' ');
    text.extend_from_slice(sum.strip_suffix(b"}").unwrap_or(sum));
    text.extend_from_slice(b"\n}\n");
}

/// Whether a document says something else than when it was sealed. One without a seal is believed: it is of an older
/// slatest, or somebody took the seal out to change it.
pub fn document_has_turned(text: &[u8]) -> bool {
    has_turned(&without_layout(text))
}

/// JSON without what stands between its tokens.
fn without_layout(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |byte: &u8| {
        if !in_string {
            in_string = *byte == b'"';
            return !matches!(*byte, b' ' | b'\t' | b'\n' | b'\r');
        }
        (in_string, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
        true
    };
    let mut line = text.to_vec();
    line.retain(keep);
    line
}

/// Where the seal of a line ends, where it has a whole one: something that stands behind it was not written so.
pub fn seal_end(line: &[u8]) -> Option<usize> {
    let at = line.windows(SEAL.len()).position(|bytes| bytes == SEAL)?;
    Some(at + SEAL.len() + DIGITS + 2).filter(|end| *end <= line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let length = body.len() as u32;
        [&length.to_le_bytes()[..], &checksum(body).to_le_bytes(), body].concat()
    }

    #[test]
    fn a_half_written_frame_is_torn_and_a_turned_one_is_not() {
        let (first, second) = (frame(&[7; 100]), frame(&[9; 50]));
        for length in 0..first.len() {
            assert!(is_torn(&first[..length], 1000), "{length} bytes of a frame");
        }
        assert!(is_torn(&[0; 4096], 1000), "room that was made and not written");
        let both = [first, second].concat();
        for bit in 0..both.len() * 8 {
            let mut turned = both.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            // Up to where it is whole, as a reader comes to it.
            let at = if bit / 8 < 108 { 0 } else { 108 };
            assert!(!is_torn(&turned[at..], 1000), "bit {bit}");
        }
    }

    #[test]
    fn a_sealed_document_is_json_and_each_bit_that_turns_is_noticed_or_changes_nothing() {
        let value = serde_json::json!({ "a b": 1.5, "b": " x\\\" ", "c": [], "d": { "e": [1, 2] } });
        let mut text = serde_json::to_vec_pretty(&value).unwrap();
        text.push(b'\n');
        assert!(!document_has_turned(&text), "an older one has no seal");
        seal_document(&mut text);
        let sealed: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&sealed).unwrap() + "\n", String::from_utf8(text.clone()).unwrap());
        assert!(!document_has_turned(&text) && !document_has_turned(sealed.to_string().as_bytes()));
        for bit in 0..text.len() * 8 {
            let mut turned = text.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            let Ok(mut read) = serde_json::from_slice::<serde_json::Value>(&turned) else { continue };
            if !document_has_turned(&turned) {
                read.as_object_mut().unwrap().retain(|key, _| value.get(key).is_some());
                assert_eq!(read, value, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_sealed_line_is_json_and_each_bit_that_turns_is_noticed() {
        let mut line = br#"{"a":1,"b":"x","c":[]}"#.to_vec();
        let written = line.clone();
        seal(&mut line);
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((json["a"].as_u64(), json["crc32"].as_str().map(str::len)), (Some(1), Some(8)));
        assert!(!has_turned(&line) && !has_turned(&written) && !has_turned(b"") && !has_turned(b"}"));
        assert_eq!((seal_end(&line), seal_end(&line[..line.len() - 1])), (Some(line.len()), None));
        for bit in 0..line.len() * 8 {
            let mut turned = line.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            let kept = turned.starts_with(&written[..written.len() - 1]);
            // What turned within the seal's own name leaves an unsealed line, and nothing of what it says is lost.
            assert!(has_turned(&turned) || kept, "bit {bit}");
        }
    }
}

//! Field tables, walked without recursion: how deep they are and how many fields they have.

use super::frames::Violation;

/// Most tables and arrays in one another. Those that RabbitMQ adds itself (`x-death`) are three deep.
const DEPTH_MAX: usize = 32;
/// Most fields of a table, with those of the tables in it.
const FIELDS_MAX: usize = 4_096;
/// About the memory that lapin takes for a field beside its text, in bytes.
pub(super) const MEMORY_OF_FIELD: u64 = 128;

/// Flags of the properties that stand before the headers of a message, and of the headers.
const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;

/// The properties of a message that begin at `at`; gives the number of fields in its headers.
///
/// # Errors
/// What is too much, or no properties.
pub(super) fn check_properties(bytes: &[u8], at: usize) -> Result<usize, Violation> {
    let flags = u16::from_be_bytes(part(bytes, at)?);
    let mut at = at + 2;
    for flag in [CONTENT_TYPE, CONTENT_ENCODING] {
        if flags & flag != 0 {
            let [length] = part(bytes, at)?;
            at += 1 + usize::from(length);
        }
    }
    if flags & HEADERS == 0 { Ok(0) } else { check(bytes, at) }
}

/// A table that begins at `at`; gives the number of its fields.
///
/// # Errors
/// What is too much, or no table.
pub(super) fn check(bytes: &[u8], at: usize) -> Result<usize, Violation> {
    let mut at = at;
    let mut fields = 0;
    // Where each table and array ends, from the outermost, and whether its fields have names.
    let mut ends = vec![(enter(bytes, &mut at, bytes.len())?, true)];
    while let Some(&(end, named)) = ends.last() {
        if at == end {
            ends.pop();
            continue;
        }
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(Violation::TooManyFields);
        }
        if named {
            let [length] = part(bytes, at)?;
            at += 1 + usize::from(length);
        }
        let [kind] = part(bytes, at)?;
        at += 1;
        let length = match kind {
            b'F' | b'A' => {
                let inner = enter(bytes, &mut at, end)?;
                if ends.len() >= DEPTH_MAX {
                    return Err(Violation::TooDeep);
                }
                ends.push((inner, kind == b'F'));
                continue;
            }
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'L' | b'l' | b'd' | b'T' => 8,
            b'S' | b'x' => {
                let length = u32::from_be_bytes(part(bytes, at)?) as usize;
                at += 4;
                length
            }
            _ => return Err(Violation::NotAmqp),
        };
        at = at.checked_add(length).filter(|at| *at <= end).ok_or(Violation::NotAmqp)?;
    }
    Ok(fields)
}

/// Reads the length of a table or an array; gives where it ends, within what it stands in.
fn enter(bytes: &[u8], at: &mut usize, outer: usize) -> Result<usize, Violation> {
    let length = u32::from_be_bytes(part(bytes, *at)?) as usize;
    *at += 4;
    at.checked_add(length).filter(|end| *end <= outer).ok_or(Violation::NotAmqp)
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Violation> {
    let part = at.checked_add(N).and_then(|end| bytes.get(at..end));
    part.and_then(|part| part.try_into().ok()).ok_or(Violation::NotAmqp)
}

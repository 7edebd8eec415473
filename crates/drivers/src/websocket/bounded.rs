//! Reads what a server sends as Yjs, with bounds on what the library follows by recursion or makes room for.

use yrs::block::ClientID;
use yrs::encoding::read::{Cursor, Error, Read};
use yrs::updates::decoder::{Decode, Decoder};
use yrs::{Any, ID, StateVector, Update};

/// Most levels of a value within a value.
const DEPTH_MAX: usize = 64;
/// Most clients of one update; the library goes from one to the next by recursion.
const CLIENTS_MAX: usize = 4_096;
/// Most blocks, and most elements of values, of one update.
const BLOCKS_MAX: usize = 256 * 1024;
/// Most shared types (maps, arrays, texts within others) of one update: they lie within each other, and the library
/// deletes them by recursion.
const TYPES_MAX: usize = 1_024;

/// Bytes that are read as lib0 writes them.
pub(super) struct Bounded<'a> {
    cursor: Cursor<'a>,
    clients: usize,
    pub(super) blocks: usize,
    types: usize,
    elements: usize,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), clients: 0, blocks: 0, types: 0, elements: 0 }
    }

    /// Whether something is left.
    pub(super) fn has_content(&self) -> bool {
        self.cursor.has_content()
    }

    fn left(&self) -> usize {
        self.cursor.buf.len().saturating_sub(self.cursor.next)
    }

    fn read_id(&mut self) -> Result<ID, Error> {
        Ok(ID::new(ClientID::new(self.read_var::<u64>()?), self.read_var()?))
    }

    /// Counts one more of something.
    fn count(count: &mut usize, more: usize, most: usize) -> Result<(), Error> {
        *count = count.saturating_add(more);
        if *count > most { Err(Error::UnexpectedValue) } else { Ok(()) }
    }

    /// Passes over a value, to see that it is one that the library can read.
    fn pass(&mut self, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::UnexpectedValue);
        }
        Self::count(&mut self.elements, 1, BLOCKS_MAX)?;
        match self.read_u8()? {
            120 | 121 | 126 | 127 => {}
            125 => _ = self.read_var::<i64>()?,
            124 => _ = self.read_exact(4)?,
            122 | 123 => _ = self.read_exact(8)?,
            119 => _ = self.read_string()?,
            116 => _ = self.read_buf()?,
            kind @ (117 | 118) => {
                let length: usize = self.read_var()?;
                if length > self.left() {
                    return Err(Error::EndOfBuffer(length));
                }
                for _ in 0..length {
                    if kind == 118 {
                        self.read_string()?;
                    }
                    self.pass(depth + 1)?;
                }
            }
            _ => return Err(Error::UnexpectedValue),
        }
        Ok(())
    }
}

impl Read for Bounded<'_> {
    fn read_exact(&mut self, length: usize) -> Result<&[u8], Error> {
        if length > self.left() {
            return Err(Error::EndOfBuffer(length));
        }
        self.cursor.read_exact(length)
    }

    fn read_u8(&mut self) -> Result<u8, Error> {
        self.cursor.read_u8()
    }
}

impl Decoder for Bounded<'_> {
    fn reset_ds_cur_val(&mut self) {}

    fn read_ds_clock(&mut self) -> Result<u32, Error> {
        self.read_var()
    }

    fn read_ds_len(&mut self) -> Result<u32, Error> {
        self.read_var()
    }

    fn read_left_id(&mut self) -> Result<ID, Error> {
        self.read_id()
    }

    fn read_right_id(&mut self) -> Result<ID, Error> {
        self.read_id()
    }

    fn read_client(&mut self) -> Result<ClientID, Error> {
        Self::count(&mut self.clients, 1, CLIENTS_MAX)?;
        Ok(ClientID::new(self.read_var::<u64>()?))
    }

    fn read_info(&mut self) -> Result<u8, Error> {
        Self::count(&mut self.blocks, 1, BLOCKS_MAX)?;
        self.read_u8()
    }

    fn read_parent_info(&mut self) -> Result<bool, Error> {
        Ok(self.read_var::<u32>()? == 1)
    }

    fn read_type_ref(&mut self) -> Result<u8, Error> {
        Self::count(&mut self.types, 1, TYPES_MAX)?;
        self.read_u8()
    }

    fn read_len(&mut self) -> Result<u32, Error> {
        self.read_var()
    }

    fn read_any(&mut self) -> Result<Any, Error> {
        let begin = self.cursor.next;
        self.pass(0)?;
        self.cursor.next = begin;
        Any::decode(self)
    }

    fn read_json(&mut self) -> Result<Any, Error> {
        Any::from_json(self.read_string()?)
    }

    fn read_key(&mut self) -> Result<std::sync::Arc<str>, Error> {
        Ok(self.read_string()?.into())
    }

    fn read_to_end(&mut self) -> Result<&[u8], Error> {
        let rest = self.cursor.buf.get(self.cursor.next..).unwrap_or_default();
        self.cursor.next = self.cursor.buf.len();
        Ok(rest)
    }
}

/// An update, and how many blocks it has.
pub(super) fn update(bytes: &[u8]) -> Result<(Update, usize), Error> {
    check_count(bytes)?;
    let mut bounded = Bounded::new(bytes);
    let update = Update::decode(&mut bounded)?;
    Ok((update, bounded.blocks))
}

/// What a replica says that it has.
pub(super) fn state_vector(bytes: &[u8]) -> Result<StateVector, Error> {
    check_count(bytes)?;
    StateVector::decode(&mut Bounded::new(bytes))
}

/// An update and a state begin with the number of their clients, for which the library makes room before it reads
/// one; each takes some bytes.
fn check_count(bytes: &[u8]) -> Result<(), Error> {
    let clients: u32 = Cursor::new(bytes).read_var()?;
    if clients as usize > bytes.len() { Err(Error::UnexpectedValue) } else { Ok(()) }
}

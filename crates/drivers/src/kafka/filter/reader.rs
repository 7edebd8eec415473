//! Reading what a broker says: every length, number of elements and number is held against what is there.

/// Why an answer is none that a broker gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) type Checked<T> = Result<T, Malformed>;

/// Most bytes of a number of variable length: ten of seven bits hold 64.
const VARINT_BYTES_MAX: u32 = 10;

/// Bytes that are not read yet.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn left(self) -> usize {
        self.0.len()
    }

    /// The next bytes.
    pub(super) fn take(&mut self, length: usize) -> Checked<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn i8(&mut self) -> Checked<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Checked<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Checked<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Checked<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Checked<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned number of variable length.
    pub(super) fn varint(&mut self) -> Checked<u64> {
        let mut value = 0_u64;
        for i in 0..VARINT_BYTES_MAX {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f).checked_shl(7 * i).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }

    /// A signed number of variable length, zigzag-encoded as records have it, within 32 bits.
    pub(super) fn zigzag(&mut self) -> Checked<i32> {
        let value = self.zigzag_long()?;
        i32::try_from(value).map_err(|_| Malformed("a number is too large"))
    }

    /// The same within 64 bits.
    pub(super) fn zigzag_long(&mut self) -> Checked<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A length of what follows; -1 stands for nothing where that may be.
    pub(super) fn length(&mut self, length: i64, nullable: bool) -> Checked<Option<usize>> {
        match usize::try_from(length) {
            Ok(length) if length <= self.left() => Ok(Some(length)),
            Ok(_) => Err(Malformed("a length goes beyond its end")),
            Err(_) if length == -1 && nullable => Ok(None),
            Err(_) => Err(Malformed("a length is below zero")),
        }
    }

    /// The fields that later versions added, each with a number and a length.
    pub(super) fn tags(&mut self) -> Checked<()> {
        let count = self.varint()?;
        if count > self.left() as u64 {
            return Err(Malformed("it has more tags than bytes"));
        }
        for _ in 0..count {
            self.varint()?;
            let length = self.varint()?;
            let length = usize::try_from(length).map_err(|_| Malformed("a length is out of range"))?;
            self.take(length)?;
        }
        Ok(())
    }
}

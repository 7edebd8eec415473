//! HdrHistogram's V2 encoding, not compressed: how histograms travel between machines.
//!
//! The format (as in <https://github.com/HdrHistogram/HdrHistogram>, `AbstractHistogram.encodeIntoByteBuffer`):
//! a header of 40 bytes, big-endian (cookie, length of the counts in bytes, normalising offset, digits,
//! smallest step, largest value, ratio), then the counts as zig-zag LEB128 of at most 9 bytes; a negative
//! number stands for so many zeros. Read by hand, because a peer may send anything: what is read is
//! checked before it is added, adding needs no histogram in between, and nothing is allocated for what a
//! header merely claims.

use hdrhistogram::serialization::{Serializer, V2Serializer};

use super::{DIGITS, Latencies, UNIT_NS, VALUE_MAX_NS};
use crate::model::Nanos;

const COOKIE: u32 = 0x1c84_9313;
const HEADER_BYTES: usize = 40;
/// log2 of the smallest step.
const UNIT_SHIFT: u32 = UNIT_NS.ilog2();
/// log2 of half the counters of a bucket: 3 digits need 2,048.
const HALF_SHIFT: u32 = 10;
/// Counters that a histogram can have: those up to its largest value.
const COUNTERS_MAX: u64 = index_of(VALUE_MAX_NS) + 1;

/// Bytes that are no histogram of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum V2Error {
    /// Too short for a header, or the counts end early or late.
    #[error("a histogram of {0} bytes is cut short or too long")]
    Length(usize),
    /// Another format, or other digits or steps than ours.
    #[error("not a V2 histogram of 3 digits and steps of 64 ns")]
    Format,
    /// A value above the largest that is told apart.
    #[error("a histogram has values beyond a day")]
    Range,
    /// More values than can be counted.
    #[error("a histogram has more values than can be counted")]
    Count,
}

/// The counter that a value is counted in.
const fn index_of(value: u64) -> u64 {
    let units = value >> UNIT_SHIFT;
    let bits = 64 - units.leading_zeros();
    let bucket = bits.saturating_sub(HALF_SHIFT + 1);
    ((bucket as u64) << HALF_SHIFT) + (units >> bucket)
}

/// The smallest value that is counted in a counter: the reverse of [`index_of`]. `index` is below
/// [`COUNTERS_MAX`].
const fn value_of(index: u64) -> u64 {
    let bucket = (index >> HALF_SHIFT).saturating_sub(1);
    (index - (bucket << HALF_SHIFT)) << bucket << UNIT_SHIFT
}

/// The counters above zero of an encoded histogram, as (value, count), the smallest first.
struct Counters<'a> {
    left: &'a [u8],
    index: u64,
    bytes: usize,
}

impl<'a> Counters<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, V2Error> {
        let (header, left) = bytes.split_at_checked(HEADER_BYTES).ok_or(V2Error::Length(bytes.len()))?;
        let word = |at: usize| header[at..at + 4].iter().fold(0_u32, |word, &b| word << 8 | u32::from(b));
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let ours = word(0) == COOKIE
            && word(8) == 0
            && word(12) == u32::from(DIGITS)
            && long(16) == UNIT_NS
            && long(32) == 1.0_f64.to_bits();
        if !ours {
            return Err(V2Error::Format);
        }
        if u64::from(word(4)) != left.len() as u64 {
            return Err(V2Error::Length(bytes.len()));
        }
        Ok(Self { left, index: 0, bytes: bytes.len() })
    }

    fn number(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for at in 0..9 {
            let byte = *self.left.get(at)?;
            // The ninth byte is taken as it is.
            let bits = if at == 8 { byte } else { byte & 0x7f };
            value |= u64::from(bits) << (7 * at);
            if at == 8 || byte & 0x80 == 0 {
                self.left = &self.left[at + 1..];
                break;
            }
        }
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn next(&mut self) -> Result<Option<(u64, u64)>, V2Error> {
        while !self.left.is_empty() {
            let number = self.number().ok_or(V2Error::Length(self.bytes))?;
            let at = self.index;
            let counters = if number < 0 { number.unsigned_abs() } else { 1 };
            self.index = at.saturating_add(counters);
            if self.index > COUNTERS_MAX {
                return Err(V2Error::Range);
            }
            if number > 0 {
                return Ok(Some((value_of(at), number.unsigned_abs())));
            }
        }
        Ok(None)
    }
}

impl Latencies {
    /// HdrHistogram's V2 encoding, not compressed; no bytes when there is nothing in it.
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.is_empty()
            && let Err(e) = V2Serializer::new().serialize(self.inner(), &mut bytes)
        {
            unreachable!("writing to memory can't fail, and no run counts to 2^63: {e:?}");
        }
        bytes
    }

    /// The reverse of [`Latencies::to_v2`].
    ///
    /// # Errors
    /// When the bytes are no such encoding.
    pub fn from_v2(bytes: &[u8]) -> Result<Self, V2Error> {
        let mut all = Self::default();
        all.add_v2(bytes)?;
        Ok(all)
    }

    /// How many values an encoded histogram holds; all of it is checked.
    ///
    /// # Errors
    /// When the bytes are no such encoding.
    pub fn count_v2(bytes: &[u8]) -> Result<u64, V2Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut counters = Counters::read(bytes)?;
        let mut sum = 0_u64;
        while let Some((_, count)) = counters.next()? {
            sum = sum.checked_add(count).ok_or(V2Error::Count)?;
        }
        Ok(sum)
    }

    /// Adds everything that an encoded histogram holds, without a histogram in between; exact.
    ///
    /// # Errors
    /// When the bytes are no such encoding; then nothing has been added.
    pub fn add_v2(&mut self, bytes: &[u8]) -> Result<(), V2Error> {
        if Self::count_v2(bytes)?.checked_add(self.count()).is_none() {
            return Err(V2Error::Count);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let mut counters = Counters::read(bytes)?;
        while let Some((value, count)) = counters.next()? {
            self.record_n(Nanos(value), count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use proptest::prelude::*;

    use super::*;

    fn recorded(values: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        for &value in values {
            latencies.record(Nanos(value));
        }
        latencies
    }

    /// Values of every magnitude.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((any::<u64>(), 17..64_u32).prop_map(|(bits, shift)| bits >> shift), 0..200)
    }

    proptest! {
        #[test]
        fn what_was_recorded_comes_back(values in values()) {
            let latencies = recorded(&values);
            let bytes = latencies.to_v2();
            prop_assert_eq!(bytes.is_empty(), values.is_empty());
            prop_assert_eq!(&Latencies::from_v2(&bytes).unwrap(), &latencies);
            prop_assert_eq!(Latencies::count_v2(&bytes).unwrap(), values.len() as u64);
        }

        #[test]
        fn adding_the_encoding_is_merging(one in values(), other in values()) {
            let mut merged = recorded(&one);
            merged.merge(&recorded(&other));
            let mut added = recorded(&one);
            added.add_v2(&recorded(&other).to_v2()).unwrap();
            prop_assert_eq!(&added, &merged);
            prop_assert_eq!((added.min(), added.max(), added.mean()), (merged.min(), merged.max(), merged.mean()));
        }

        /// The library that everybody else reads these with sees the same.
        #[test]
        fn the_reader_of_the_library_agrees(values in values().prop_filter("not empty", |v| !v.is_empty())) {
            let bytes = recorded(&values).to_v2();
            let theirs: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            prop_assert!(Latencies::from_v2(&bytes).unwrap().inner().max() == theirs.max());
            let steps = |h: &Histogram<u64>| {
                h.iter_recorded().map(|s| (s.value_iterated_to(), s.count_at_value())).collect::<Vec<_>>()
            };
            prop_assert_eq!(steps(Latencies::from_v2(&bytes).unwrap().inner()), steps(&theirs));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), sound in any::<bool>()) {
            if sound && bytes.len() >= HEADER_BYTES {
                let header = recorded(&[1]).to_v2();
                bytes[..HEADER_BYTES].copy_from_slice(&header[..HEADER_BYTES]);
                let counts = (bytes.len() - HEADER_BYTES) as u32;
                bytes[4..8].copy_from_slice(&counts.to_be_bytes());
            }
            let mut kept = recorded(&[5_000]);
            if kept.add_v2(&bytes).is_err() {
                prop_assert_eq!(&kept, &recorded(&[5_000]));
            }
        }

        #[test]
        fn a_torn_histogram_is_refused(values in values().prop_filter("not empty", |v| !v.is_empty()), cut in 1..40_usize) {
            let bytes = recorded(&values).to_v2();
            let torn = &bytes[..bytes.len().saturating_sub(cut).max(1)];
            prop_assert!(Latencies::from_v2(torn).is_err());
        }
    }

    #[test]
    fn counters_and_values_belong_together() {
        for index in 0..COUNTERS_MAX {
            assert_eq!(index_of(value_of(index)), index);
        }
        assert_eq!(index_of(VALUE_MAX_NS), COUNTERS_MAX - 1);
    }

    fn encoded(numbers: &[i64]) -> Vec<u8> {
        let mut counts = Vec::new();
        for &number in numbers {
            let mut left = (number << 1 ^ number >> 63) as u64;
            for _ in 0..8 {
                let last = left < 0x80;
                counts.push(left as u8 & 0x7f | if last { 0 } else { 0x80 });
                left >>= 7;
                if last {
                    break;
                }
            }
            if left > 0 {
                counts.push(left as u8);
            }
        }
        let mut bytes = recorded(&[1]).to_v2();
        bytes.truncate(HEADER_BYTES);
        bytes[4..8].copy_from_slice(&(counts.len() as u32).to_be_bytes());
        bytes.extend(counts);
        bytes
    }

    #[test]
    fn what_can_not_have_been_counted_is_refused() {
        assert_eq!(Latencies::count_v2(&encoded(&[3, -2, 4])), Ok(7));
        assert_eq!(Latencies::count_v2(&encoded(&[i64::MIN])), Err(V2Error::Range));
        assert_eq!(Latencies::count_v2(&encoded(&[-(COUNTERS_MAX as i64), 1])), Err(V2Error::Range));
        assert_eq!(Latencies::count_v2(&encoded(&[i64::MAX, i64::MAX, 2])), Err(V2Error::Count));
        let mut digits = encoded(&[1]);
        digits[15] = 5;
        assert_eq!(Latencies::count_v2(&digits), Err(V2Error::Format));
        let mut longer = encoded(&[1]);
        longer.push(0);
        assert_eq!(Latencies::count_v2(&longer), Err(V2Error::Length(longer.len())));
    }
}

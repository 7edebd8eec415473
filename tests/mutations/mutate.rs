//! Bytes that were once right, changed: bits, pieces, numbers, depths and repetitions, drawn from a seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Longest input.
const LENGTH_MAX: usize = 512 * 1024;
/// Most changes of one input.
const CHANGES_MAX: usize = 4;

/// Numbers and names that readers get wrong.
const TOKENS: [&str; 24] = [
    "18446744073709551615",
    "18446744073709551616",
    "1000000000000000000",
    "-1",
    "-9223372036854775808",
    "1e308",
    "1e-308",
    "NaN",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "999999999999h",
    "1e18/s",
    "1e-15%",
    "../../../etc/passwd",
    "\u{1b}[2J",
    "\u{0}",
    "*a",
    "&a [*a, *a]",
    "{{ '%99999999999d' | format(1) }}",
    "{{ random.text(99999999999) }}",
    "{% for i in range(9999999) %}{% for j in range(9999999) %}x{% endfor %}{% endfor %}",
];
/// What is said again and again: depth.
const DEPTHS: [&str; 9] = ["[", "{\"a\":", "(", "{{", "not ", "- ", "$..", "a: {", "[*]"];
/// Numbers of four bytes.
const WORDS: [u32; 5] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// What is tried with one input after another.
pub struct Mutator(ChaCha8Rng);

impl Mutator {
    /// The `number`th input of a reader.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self(rng)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end.max(1))
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// One of the seeds, changed.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(LENGTH_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        match self.below(11) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.0.random(),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + self.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + 1 + self.below(200)).min(bytes.len());
                let most = if self.below(4) == 0 { 5_000 } else { 8 };
                let times = 1 + self.below(most);
                let piece = bytes[at..end].repeat(times.min(LENGTH_MAX / (end - at).max(1)));
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            6 => {
                let depth = 1 << self.below(17);
                let piece = self.one(&DEPTHS).repeat(depth);
                bytes.splice(at..at, piece.into_bytes());
            }
            7 => {
                let word = WORDS[self.below(WORDS.len())];
                let word = if self.below(2) == 0 { word.to_be_bytes() } else { word.to_le_bytes() };
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, word);
            }
            8 => {
                let token = self.one(&TOKENS);
                bytes.splice(at..at, token.bytes());
            }
            // A number, a text or a word that stands there.
            _ => {
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'%');
                let Some(begin) = bytes[at..].iter().position(is_part).map(|skip| at + skip) else { return };
                let end =
                    bytes[begin..].iter().position(|byte| !is_part(byte)).map_or(bytes.len(), |length| begin + length);
                let token = self.one(&TOKENS);
                bytes.splice(begin..end, token.bytes());
            }
        }
    }
}

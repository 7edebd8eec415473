//! Randomness of payloads: every draw is a function of the execution and of where it is written,
//! so a run is the same twice with one seed, whichever worker or agent executes it.

use fake::Fake;
use fake::faker::address::en::{CityName, StreetName};
use fake::faker::company::en::CompanyName;
use fake::faker::internet::en::SafeEmail;
use fake::faker::lorem::en::{Paragraph, Sentence, Word};
use fake::faker::name::en::{FirstName, LastName};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ExecutionId;

/// Most characters that one draw may yield.
pub(super) const TEXT_LENGTH_MAX: u64 = 1024 * 1024;

/// A hash that is the same on every machine and in every version (FNV-1a, then mixed).
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    mix(hash)
}

/// Spreads every bit of the input over the output (the finaliser of SplitMix64); a bijection.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The random numbers of one place (`stream`) in one execution. The four numbers are the key of the
/// cipher, so no two places or executions share a sequence.
pub(super) fn rng(id: &ExecutionId, stream: u64) -> ChaCha8Rng {
    // The first step's stream is the place itself.
    keyed([id.seed, stable_hash(id.scenario.as_bytes()), id.seq, stream ^ mix(u64::from(id.step))])
}

/// A number from 0 to 1 for one execution: what is decided of it beside its payload.
#[cfg(feature = "http")]
pub(crate) fn unit(id: &ExecutionId, stream: u64) -> f64 {
    rng(id, stream).random()
}

/// The same for what all steps of an arrival's flow have in common.
pub(super) fn rng_of_arrival(id: &ExecutionId, stream: u64) -> ChaCha8Rng {
    keyed([id.seed, stable_hash(id.scenario.as_bytes()), id.seq, stream])
}

/// A generator keyed by four numbers.
pub(super) fn keyed(key: [u64; 4]) -> ChaCha8Rng {
    let mut seed = [0; 32];
    for (chunk, word) in seed.chunks_exact_mut(8).zip(key) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(seed)
}

/// Made-up values: `fake.*`. Names and addresses of nobody; mail goes to reserved domains and
/// phone numbers lie in the range that is kept for fiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fiction {
    Sentence,
    Paragraph,
    Word,
    Name,
    FirstName,
    LastName,
    Email,
    Phone,
    City,
    Street,
    Company,
    Uuid,
    Digits,
}

impl Fiction {
    /// Every kind, by the name that templates use.
    pub(super) const ALL: [(&'static str, Self); 13] = [
        ("sentence", Self::Sentence),
        ("paragraph", Self::Paragraph),
        ("word", Self::Word),
        ("name", Self::Name),
        ("first_name", Self::FirstName),
        ("last_name", Self::LastName),
        ("email", Self::Email),
        ("phone", Self::Phone),
        ("city", Self::City),
        ("street", Self::Street),
        ("company", Self::Company),
        ("uuid", Self::Uuid),
        ("digits", Self::Digits),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    pub(super) fn draw(self, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::Sentence => Sentence(4..10).fake_with_rng(rng),
            Self::Paragraph => Paragraph(3..6).fake_with_rng(rng),
            Self::Word => Word().fake_with_rng(rng),
            Self::Name => {
                let first: String = Self::FirstName.draw(rng);
                format!("{first} {}", Self::LastName.draw(rng))
            }
            Self::FirstName => FirstName().fake_with_rng(rng),
            Self::LastName => LastName().fake_with_rng(rng),
            Self::Email => SafeEmail().fake_with_rng(rng),
            Self::Phone => phone(rng),
            Self::City => CityName().fake_with_rng(rng),
            Self::Street => StreetName().fake_with_rng(rng),
            Self::Company => CompanyName().fake_with_rng(rng),
            Self::Uuid => uuid(rng),
            Self::Digits => (0..10).map(|_| char::from(b'0' + rng.random_range(0..10_u8))).collect(),
        }
    }
}

/// A number from the range of the North American plan that is kept for fiction (555-0100 to 0199).
pub(super) fn phone(rng: &mut ChaCha8Rng) -> String {
    let area = rng.random_range(201..990_u32);
    let line = rng.random_range(100..200_u32);
    format!("+1-{area}-555-0{line}")
}

/// A version 4 UUID.
pub(super) fn uuid(rng: &mut ChaCha8Rng) -> String {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string()
}

/// `length` printable characters, of which none needs escaping in JSON, URLs, SQL or CSV.
pub(super) fn text(rng: &mut ChaCha8Rng, length: u64, out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    from_alphabet(rng, length, out, |byte| ALPHABET[usize::from(byte & 63)]);
}

/// `length` lower-case hexadecimal digits.
pub(super) fn hex(rng: &mut ChaCha8Rng, length: u64, out: &mut String) {
    from_alphabet(rng, length, out, |byte| b"0123456789abcdef"[usize::from(byte & 15)]);
}

fn from_alphabet(rng: &mut ChaCha8Rng, length: u64, out: &mut String, letter: impl Fn(u8) -> u8) {
    let mut left = usize::try_from(length.min(TEXT_LENGTH_MAX)).unwrap_or(0);
    out.reserve(left);
    let mut block = [0; 256];
    while left > 0 {
        let part = left.min(block.len());
        rng.fill_bytes(&mut block[..part]);
        out.extend(block[..part].iter().map(|&byte| char::from(letter(byte))));
        left -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: u64) -> ExecutionId {
        ExecutionId { seed: 7, run: "r".into(), scenario: "api".into(), seq, step: 0, user: 0 }
    }

    #[test]
    fn a_draw_depends_on_the_execution_and_the_place_and_on_nothing_else() {
        for (name, kind) in Fiction::ALL {
            let draw = |seq, stream| kind.draw(&mut rng(&id(seq), stream));
            assert_eq!(draw(1, 2), draw(1, 2), "{name}");
        }
        let draw = |seq, stream| uuid(&mut rng(&id(seq), stream));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 1));
        let step = |step| uuid(&mut rng(&ExecutionId { step, ..id(1) }, 2));
        assert_eq!(step(0), draw(1, 2), "a single operation draws what it drew before there were steps");
        assert_ne!(step(1), step(0));
        assert_ne!(step(1), step(2));
    }

    #[test]
    fn text_and_hex_have_their_length_and_letters() {
        let mut out = String::new();
        text(&mut rng(&id(1), 1), 2048, &mut out);
        assert_eq!(out.len(), 2048);
        assert!(out.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        out.clear();
        hex(&mut rng(&id(1), 1), 33, &mut out);
        assert!(out.len() == 33 && out.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn the_stable_hash_is_stable() {
        // Computed apart from this code; payloads of old runs depend on it.
        assert_eq!(stable_hash(b"api"), 0xef7e_592e_1942_ca4f);
    }
}

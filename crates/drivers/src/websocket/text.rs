//! Text and numbers that follow from a seed alone, the same on every machine.

use crate::workload;

/// SplitMix64: spreads a number over all 64 bits.
pub(super) const fn mix(seed: u64) -> u64 {
    workload::mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// FNV-1a of some texts; where one ends matters.
pub(super) fn hash(texts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// Words of lower-case letters, `bytes` long altogether.
pub(super) fn words(seed: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    let mut state = seed;
    let mut word = 0;
    while text.len() < bytes {
        state = state.wrapping_add(1);
        let mut draw = mix(state);
        for _ in 0..8 {
            if text.len() == bytes {
                break;
            }
            let (letter, rest) = (draw % 26, draw / 26);
            draw = rest;
            if word >= 3 && letter < 5 {
                text.push(' ');
                word = 0;
            } else {
                text.push(char::from(b'a' + letter as u8));
                word += 1;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_size_asked_for_and_follows_from_the_seed() {
        for bytes in [0, 1, 7, 40, 10_240] {
            assert_eq!(words(7, bytes).len(), bytes);
        }
        assert_eq!(words(7, 40), words(7, 40));
        assert_ne!(words(7, 40), words(8, 40));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}

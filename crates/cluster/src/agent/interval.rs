//! Windows that are too large for one message.

use prost::Message as _;

use crate::wire::{OperationTally, Window};

/// Most bytes of a window in one interval: a coordinator takes messages of 16 MiB.
const BYTES_MAX: usize = 12 * 1024 * 1024;

/// The window in parts that each fit one message, nearly always itself. Their sum is the window: each
/// operation is in one of them, and what belongs to no operation is in the first.
pub(super) fn parts(window: Window) -> Vec<Window> {
    parts_of(window, BYTES_MAX)
}

fn parts_of(mut window: Window, bytes_max: usize) -> Vec<Window> {
    if window.encoded_len() <= bytes_max {
        return vec![window];
    }
    let (judged, unjudged) = (std::mem::take(&mut window.judged), std::mem::take(&mut window.unjudged));
    let rest =
        Window { index: window.index, length_ns: window.length_ns, spoiled: window.spoiled, ..Window::default() };
    let mut bytes = window.encoded_len();
    let mut parts = vec![window];
    let all = judged.into_iter().map(|t| (true, t)).chain(unjudged.into_iter().map(|t| (false, t)));
    for (is_judged, tally) in all {
        let more = framed(&tally);
        if bytes + more > bytes_max {
            parts.push(rest.clone());
            bytes = rest.encoded_len();
        }
        bytes += more;
        if let Some(part) = parts.last_mut() {
            if is_judged { &mut part.judged } else { &mut part.unjudged }.push(tally);
        }
    }
    parts
}

/// Bytes of a tally in a window: its key and its length at their longest.
fn framed(tally: &OperationTally) -> usize {
    tally.encoded_len() + 12
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_fit_and_add_up(sizes in prop::collection::vec((any::<bool>(), 0..300_usize), 0..60), in_flight: u64) {
            let tally = |(i, size): (usize, usize)| OperationTally {
                operation: i as u32,
                planned: 1,
                response: vec![1; size].into(),
                ..OperationTally::default()
            };
            let of = |judged: bool| sizes.iter().enumerate().filter(move |(_, s)| s.0 == judged).map(move |(i, s)| tally((i, s.1)));
            let window = Window {
                index: 7,
                length_ns: 1_000,
                judged: of(true).collect(),
                unjudged: of(false).collect(),
                in_flight,
                dispatch_lag: vec![2; 50].into(),
                ..Window::default()
            };
            let parts = parts_of(window.clone(), 1_000);
            prop_assert!(parts.iter().all(|part| part.encoded_len() <= 1_000 && part.index == 7 && part.length_ns == 1_000));
            prop_assert!(window.encoded_len() > 1_000 || parts == [window.clone()]);
            let all = |of: fn(&Window) -> &[OperationTally]| parts.iter().flat_map(|p| of(p).to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(all(|w| &w.judged), window.judged);
            prop_assert_eq!(all(|w| &w.unjudged), window.unjudged);
            prop_assert_eq!(parts.iter().map(|p| u128::from(p.in_flight)).sum::<u128>(), u128::from(in_flight));
            prop_assert_eq!(parts.iter().filter(|p| !p.dispatch_lag.is_empty()).count(), 1);
        }
    }
}

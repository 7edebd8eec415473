use proptest::prelude::*;
use prost::Message as _;

use super::*;
use slatest_core::measure::{Series, Threshold};

const LENGTH: Nanos = Nanos::from_secs(1);
const OPERATIONS: u16 = 4;

fn shape(operation: u16) -> OperationShape {
    let limit = Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(200) };
    OperationShape {
        timings: usize::from(operation % 3),
        ratios: usize::from(operation % 2),
        thresholds: vec![limit; usize::from(operation)],
    }
}

fn codec() -> Codec {
    Codec::new((0..OPERATIONS).map(shape).collect(), LENGTH)
}

fn latencies() -> impl Strategy<Value = Latencies> {
    prop::collection::vec((any::<u64>(), 17..64_u32).prop_map(|(bits, shift)| bits >> shift), 0..12).prop_map(
        |values| {
            let mut latencies = Latencies::default();
            values.into_iter().for_each(|value| latencies.record(Nanos(value)));
            latencies
        },
    )
}

fn tally(operation: u16) -> impl Strategy<Value = (OperationId, Tally)> {
    let shape = shape(operation);
    let (timings, ratios, thresholds) = (shape.timings, shape.ratios, shape.thresholds.len());
    let count = 0..1_000_000_u64;
    (
        (count.clone(), prop::array::uniform7(count.clone())),
        (latencies(), latencies(), latencies(), latencies()),
        prop::collection::vec(latencies(), timings),
        prop::collection::vec((count.clone(), count.clone()), thresholds),
        prop::collection::vec((count.clone(), count.clone()), ratios),
        prop::collection::vec(("[a-z (]{0,6}", 1..1_000_u64), 0..50),
    )
        .prop_map(
            move |((planned, outcomes), (response, failed, service, send_lag), timings, seen, ratios, kinds)| {
                let mut errors = ErrorKinds::default();
                kinds.iter().for_each(|(kind, count)| errors.add(kind, *count));
                let tally = Tally {
                    planned,
                    outcomes,
                    response,
                    failed,
                    service,
                    send_lag,
                    timings,
                    exceeded: seen.iter().map(|(part, _)| *part).collect(),
                    observed: seen.iter().map(|(part, rest)| part + rest).collect(),
                    by_lateness: seen
                        .iter()
                        .map(|(part, rest)| ByLateness { samples: part / 2, lateness_max: Nanos(*rest) })
                        .collect(),
                    ratios: ratios.into_iter().map(|(part, rest)| (part, part + rest)).collect(),
                    errors,
                    retried: planned % 7,
                    unsent: outcomes[1].min(planned % 5),
                    traffic: traffic(planned),
                };
                (OperationId(operation), tally)
            },
        )
}

/// Answers of two statuses, and some bytes.
fn traffic(planned: u64) -> TrafficSums {
    let mut sums = TrafficSums::default();
    (sums.sent, sums.received) = (planned * 100, planned % 3);
    sums.add_status(200, planned);
    sums.add_status(503, planned % 4 + 1);
    sums
}

fn tallies() -> impl Strategy<Value = Vec<(OperationId, Tally)>> {
    let each: Vec<_> = (0..OPERATIONS).map(|o| prop::option::of(tally(o))).collect();
    each.prop_map(|each| each.into_iter().flatten().collect())
}

fn window(index: u64) -> impl Strategy<Value = Window> {
    (tallies(), tallies(), 0..1_000_u64, latencies(), 0..1_000_u64, any::<bool>()).prop_map(
        move |(judged, unjudged, in_flight, dispatch_lag, stall, spoiled)| Window {
            index,
            length: LENGTH,
            judged,
            unjudged,
            in_flight,
            in_flight_time: Nanos(in_flight * 7),
            dispatch_lag,
            arrivals: FiredArrivals {
                fired: in_flight,
                late: if in_flight > 4 { vec![(0, 2), (index - 1, 1)] } else { vec![] },
            },
            troubles: troubles(index, in_flight),
            stall: Nanos(stall),
            spoiled,
            ..Window::default()
        },
    )
}

/// What went wrong of two operations, in two windows of one of them.
fn troubles(index: u64, seed: u64) -> Vec<(OperationId, Vec<Trouble>)> {
    let mut errors = ErrorKinds::default();
    errors.add("refused", seed + 1);
    let trouble = |window, exceeded| Trouble { window, failed: seed, exceeded, errors: errors.clone() };
    match seed % 3 {
        0 => Vec::new(),
        1 => vec![(OperationId(2), vec![trouble(index, vec![seed, 7])])],
        _ => vec![
            (OperationId(0), vec![trouble(index, vec![])]),
            (OperationId(2), vec![trouble(index - 1, vec![]), trouble(index, vec![1, 2])]),
        ],
    }
}

/// Through bytes, as on the network.
fn travelled(window: &Window) -> wire::Window {
    wire::Window::decode(write(window).encode_to_vec().as_slice()).expect("what was encoded")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_window_survives_to_the_last_bit(window in window(7)) {
        let read = codec().read(&travelled(&window)).unwrap();
        prop_assert_eq!(&read, &window);
        prop_assert_eq!(write(&read), write(&window));
    }

    #[test]
    fn adding_what_arrives_is_merging_what_was_sent(parts in prop::collection::vec(window(3), 1..4)) {
        let mut merged = parts[0].clone();
        parts[1..].iter().for_each(|part| merged.merge(part.clone()));
        let mut added = codec().read(&travelled(&parts[0])).unwrap();
        for part in &parts[1..] {
            codec().add(&mut added, &travelled(part)).unwrap();
        }
        // Which kinds of error are told apart beyond the bound hangs on the order in which they come;
        // it is the same here.
        prop_assert_eq!(added, merged);
    }

    /// Torn or changed at any place: read, or refused with nothing added.
    #[test]
    fn a_hostile_window_is_read_or_refused(
        window in window(3),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)
    ) {
        let mut bytes = write(&window).encode_to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2).min(bytes.len()));
        if let Ok(from) = wire::Window::decode(bytes.as_slice()) {
            let mut into = window.clone();
            match codec().add(&mut into, &from) {
                Ok(()) => prop_assert!(codec().check(&from).is_ok()),
                Err(_) => prop_assert_eq!(into, window),
            }
        }
    }
}

fn one(change: impl FnOnce(&mut wire::Window)) -> Result<Window, CodecError> {
    let tally = |operation: u16| (OperationId(operation), shape(operation).tally());
    let mut latencies = Latencies::default();
    latencies.record(Nanos(1_000));
    let mut window = Window { index: 2, length: LENGTH, dispatch_lag: latencies, ..Window::default() };
    window.judged = vec![tally(1), tally(3)];
    let mut from = write(&window);
    change(&mut from);
    codec().read(&from)
}

#[test]
fn what_the_plan_does_not_have_is_refused() {
    assert!(one(|_| {}).is_ok());
    assert_eq!(one(|w| w.judged[1].operation = 4), Err(CodecError::Operation(4, 4)));
    assert_eq!(one(|w| w.judged[1].operation = 65_537), Err(CodecError::Operation(65_537, 4)));
    assert_eq!(one(|w| w.judged[1].operation = 1), Err(CodecError::Order));
    assert_eq!(one(|w| w.judged.reverse()), Err(CodecError::Order));
    assert_eq!(one(|w| w.length_ns = 7), Err(CodecError::Length(Nanos(7), LENGTH)));
    let words = one(|w| w.judged[0].outcomes.clear()).unwrap_err().to_string();
    assert_eq!(words, "operation 1 has 0 outcomes; the plan has 7");
    assert!(matches!(one(|w| w.judged[0].timings.clear()), Err(CodecError::Shape { what: "timings", .. })));
    assert!(matches!(one(|w| w.judged[0].ratios.clear()), Err(CodecError::Shape { what: "ratios", .. })));
}

#[test]
fn what_nobody_can_have_counted_is_refused() {
    assert_eq!(one(|w| w.index = u64::MAX), Err(CodecError::Impossible));
    assert_eq!(one(|w| w.in_flight = u64::MAX), Err(CodecError::Impossible));
    assert_eq!(one(|w| w.judged[0].planned = u64::MAX), Err(CodecError::Impossible));
    assert_eq!(one(|w| w.judged[0].exceeded[0] = 1), Err(CodecError::Impossible));
    assert_eq!(one(|w| w.judged[0].ratios[0].good = 1), Err(CodecError::Impossible));
    let trouble = |operation, planned_window, exceeded| wire::Trouble {
        operation,
        planned_window,
        failed: 1,
        exceeded,
        errors: Vec::new(),
    };
    assert!(one(|w| w.troubles = vec![trouble(1, 1, vec![1]), trouble(1, 2, vec![])]).is_ok());
    assert_eq!(one(|w| w.troubles = vec![trouble(1, 4, vec![])]), Err(CodecError::Impossible));
    assert_eq!(one(|w| w.troubles = vec![trouble(9, 1, vec![])]), Err(CodecError::Operation(9, 4)));
    assert_eq!(one(|w| w.troubles = vec![trouble(1, 1, vec![]); 2]), Err(CodecError::Order));
    assert!(matches!(one(|w| w.troubles = vec![trouble(1, 1, vec![1, 1])]), Err(CodecError::Shape { .. })));
    let kind = |count| wire::ErrorKind { kind: "503".to_owned(), count };
    assert_eq!(one(|w| w.judged[0].errors = vec![kind(u64::MAX), kind(u64::MAX)]), Err(CodecError::Impossible));
    assert_eq!(one(|w| w.judged[0].errors = vec![kind(1); 34]), Err(CodecError::TooMuch("kinds of error")));
    let torn = one(|w| w.dispatch_lag.truncate(39)).unwrap_err().to_string();
    assert_eq!(torn, "dispatch lag: a histogram of 39 bytes is cut short or too long");
}

#[test]
fn a_part_of_another_window_is_not_added() {
    let mut into = Window { index: 1, length: LENGTH, ..Window::default() };
    let from = write(&Window { index: 2, length: LENGTH, ..Window::default() });
    assert_eq!(codec().add(&mut into, &from), Err(CodecError::Index(2, 1)));
}

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (CONTENT_ENCODING, value.parse().unwrap())).collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd_packed(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// `{"items":[]}`, as the reference encoder of brotli packs it without compression (RFC 7932, section 9.2).
const BROTLI: &[u8] = b"\x8b\x05\x80{\"items\":[]}\x03";

fn decoded(values: &[&str], accepted: Option<&str>, body: impl Into<Bytes>) -> Result<Bytes, String> {
    let accepted = accepted.map(|accepted| accepted.parse().unwrap());
    decode(&headers(values), accepted.as_ref(), body.into(), MAX).map_err(|error| match error {
        NotDecoded::TooLarge => "too large".to_owned(),
        NotDecoded::Failed(failure) => failure.kind,
    })
}

#[test]
fn every_coding_is_unpacked_under_each_of_its_names() {
    let text: &[u8] = b"{\"items\":[]}";
    for name in ["gzip", "GZIP", "x-gzip", "identity, gzip", "gzip, identity", " gzip ,", "X-GZip"] {
        assert_eq!(decoded(&[name], Some("gzip"), gzip(text)).unwrap(), text, "{name}");
    }
    assert_eq!(decoded(&["deflate"], Some("deflate"), zlib(text)).unwrap(), text);
    assert_eq!(decoded(&["deflate"], Some("deflate"), raw_deflate(text)).unwrap(), text);
    assert_eq!(decoded(&["br"], Some("gzip, br"), BROTLI).unwrap(), text);
    assert_eq!(decoded(&["zstd"], Some("zstd"), zstd_packed(text)).unwrap(), text);
    for plain in [&[][..], &["identity"], &[""], &["Identity"]] {
        assert_eq!(decoded(plain, Some("gzip"), text).unwrap(), text);
    }
    assert_eq!(decoded(&["gzip"], Some("gzip"), Bytes::new()).unwrap(), "", "the answer to a HEAD");
}

#[test]
fn codings_around_one_another_come_off_from_the_outside() {
    let twice = gzip(&zlib(b"inside"));
    for values in [&["deflate, gzip"][..], &["deflate", "gzip"]] {
        assert_eq!(decoded(values, Some("gzip, deflate"), twice.clone()).unwrap(), "inside");
    }
    let five = ["gzip, gzip, gzip, gzip, gzip"];
    assert_eq!(decoded(&five, Some("gzip"), twice).unwrap_err(), "body: too many encodings");
}

#[test]
fn members_and_frames_follow_one_another() {
    let both = [gzip(b"one"), gzip(b"two")].concat();
    assert_eq!(decoded(&["gzip"], None, both).unwrap(), "onetwo");
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    let both = [&zstd_packed(b"one")[..], &skipped, &zstd_packed(b"two")].concat();
    assert_eq!(decoded(&["zstd"], None, both).unwrap(), "onetwo");
}

#[test]
fn what_was_not_asked_for_is_refused_and_what_was_is_not() {
    let refused = "body: an encoding that was not asked for";
    for accepted in ["gzip", "gzip, br;q=0", "*;q=0", "identity", ""] {
        assert_eq!(decoded(&["br"], Some(accepted), BROTLI).unwrap_err(), refused, "{accepted}");
    }
    for accepted in ["BR", "gzip;q=0.5, br;q=1.0", "*", "gzip, *;q=0.1"] {
        assert!(decoded(&["br"], Some(accepted), BROTLI).is_ok(), "{accepted}");
    }
    assert!(decoded(&["br"], None, BROTLI).is_ok(), "who says nothing takes anything");
    assert_eq!(decoded(&["compress"], None, "x").unwrap_err(), "body: an encoding that is not known");
    assert_eq!(unknown("gzip, compress;q=0.5"), Some("compress"));
    assert_eq!(unknown("gzip;q=1, br, deflate, zstd, identity, *;q=0, dcb;q=0"), None);
}

#[test]
fn a_small_body_that_unpacks_to_a_huge_one_is_refused() {
    let huge = vec![0; MAX + 1];
    for (name, body) in [
        ("gzip", gzip(&huge)),
        ("deflate", zlib(&huge)),
        ("zstd", zstd_packed(&huge)),
        ("gzip, gzip", gzip(&gzip(&huge))),
    ] {
        assert!(body.len() < 100_000, "{name}");
        assert_eq!(decoded(&[name], None, body).unwrap_err(), "too large", "{name}");
    }
    assert_eq!(decoded(&["gzip"], None, gzip(&huge[..MAX])).unwrap().len(), MAX);
    assert_eq!(decoded(&[], None, huge).unwrap_err(), "too large");
}

#[test]
fn a_zstd_window_that_takes_gigabytes_is_not_made() {
    let window_of_2_gib = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 1, 0, 0];
    assert_eq!(decoded(&["zstd"], None, window_of_2_gib.to_vec()).unwrap_err(), "body: malformed zstd");
    let content_of_2_gib = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x80, 1, 0, 0];
    assert_eq!(decoded(&["zstd"], None, content_of_2_gib.to_vec()).unwrap_err(), "body: malformed zstd");
}

#[test]
fn a_body_that_is_not_what_it_says_is_rejected() {
    let cut = |body: Vec<u8>| body[..body.len() / 2].to_vec();
    assert_eq!(decoded(&["gzip"], None, cut(gzip(b"hello hello"))).unwrap_err(), "body: malformed gzip");
    assert_eq!(decoded(&["zstd"], None, cut(zstd_packed(b"hello hello"))).unwrap_err(), "body: malformed zstd");
    assert_eq!(decoded(&["br"], None, &BROTLI[..6]).unwrap_err(), "body: malformed br");
    assert_eq!(decoded(&["deflate"], None, cut(zlib(b"hello hello"))).unwrap_err(), "body: malformed deflate");
}

proptest! {
    #[test]
    fn no_body_panics_and_none_grows_past_its_bound(
        body in prop::collection::vec(any::<u8>(), 0..300),
        names in prop::collection::vec(prop::sample::select(vec!["gzip", "deflate", "br", "zstd"]), 1..3),
    ) {
        if let Ok(unpacked) = decode(&headers(&[&names.join(",")]), None, body.into(), 4096) {
            prop_assert!(unpacked.len() <= 4096);
        }
    }

    #[test]
    fn what_was_packed_comes_out(data in prop::collection::vec(any::<u8>(), 1..2000)) {
        for (name, body) in [("gzip", gzip(&data)), ("deflate", zlib(&data)), ("deflate", raw_deflate(&data)), ("zstd", zstd_packed(&data))] {
            prop_assert_eq!(&decoded(&[name], None, body).unwrap()[..], &data[..]);
        }
    }

    #[test]
    fn no_list_of_codings_panics(list in "\\PC{0,40}", accepted in "\\PC{0,40}") {
        if let (Ok(list), Ok(accepted)) = (list.parse::<HeaderValue>(), accepted.parse::<HeaderValue>()) {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, list)]);
            let _ = decode(&headers, Some(&accepted), Bytes::from_static(b"x"), 10);
            let _ = accepted.to_str().map(unknown);
        }
    }
}

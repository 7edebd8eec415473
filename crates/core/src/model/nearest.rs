//! "Did you mean": the known name that is closest to what was written.

/// The name among `known` that is most like `written`, when one is like it at all.
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let like = |name: &'k str| (strsim::jaro_winkler(&written.to_lowercase(), &name.to_lowercase()), name);
    known
        .into_iter()
        .map(like)
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// A way out for an unknown name: the nearest known one, or all of them.
pub fn suggest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is none".into(),
        None => format!("there is {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_the_list() {
        let known = ["constant-vus", "ramping-vus", "emr-api"];
        assert_eq!(nearest("emr-apy", known), Some("emr-api"));
        assert_eq!(nearest("Constant-VU", known), Some("constant-vus"));
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(suggest("xyz", known), "there is constant-vus, ramping-vus, emr-api");
    }
}

//! JSONPath (RFC 9535), evaluated within bounds: an answer's size and depth are the target's choice.

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use serde_json::Value;

/// Most values that are looked at for one path.
const STEPS_MAX: usize = 8_000_000;
/// Most values, each counted as often as it lies deep, of a document on which a filter is evaluated: the library keeps
/// the place of each as a text.
const PLACES_MAX: usize = 4_000_000;

/// The answer is too large for what the path asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON is too large for this path")]
pub struct TooLarge;

/// A compiled JSONPath.
#[derive(Clone, Debug)]
pub struct JsonPath {
    plan: Plan,
    written: String,
}

#[derive(Clone, Debug)]
enum Plan {
    /// Names, indexes and wildcards, at each level or below: walked until the first value is found.
    Walk(Vec<Step>),
    /// Slices and filters.
    Library(JpQuery),
}

#[derive(Clone, Debug)]
struct Step {
    descendants: bool,
    picks: Vec<Pick>,
}

#[derive(Clone, Debug)]
enum Pick {
    Name(String),
    Index(i64),
    All,
}

impl JsonPath {
    /// Compiles one.
    ///
    /// # Errors
    /// In words, when it is malformed.
    pub fn compile(written: &str) -> Result<Self, String> {
        let query = jsonpath_rust::parser::parse_json_path(written)
            .map_err(|_| format!("`{written}` is not a JSONPath: write it like $.id, $.items[0].id or $..name"))?;
        let steps: Option<Vec<Step>> = query.segments.iter().map(|segment| step(segment, false)).collect();
        let plan = steps.map_or(Plan::Library(query), Plan::Walk);
        Ok(Self { plan, written: written.to_owned() })
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The first value that it finds.
    ///
    /// # Errors
    /// When the document is too large for it.
    pub fn find<'v>(&self, document: &'v Value) -> Result<Option<&'v Value>, TooLarge> {
        match &self.plan {
            Plan::Walk(steps) => walk(document, steps, &mut STEPS_MAX.clone()),
            Plan::Library(query) => {
                places(document, 1, &mut PLACES_MAX.clone())?;
                let found = jsonpath_rust::query::js_path_process(query, document).unwrap_or_default();
                Ok(found.into_iter().next().map(jsonpath_rust::query::QueryRef::val))
            }
        }
    }

    /// The first value that it finds; none in a document that is too large for it.
    pub fn first<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.find(document).ok().flatten()
    }
}

fn step(segment: &Segment, descendants: bool) -> Option<Step> {
    let pick = |selector: &Selector| match selector {
        Selector::Name(name) => Some(Pick::Name(name.clone())),
        Selector::Index(index) => Some(Pick::Index(*index)),
        Selector::Wildcard => Some(Pick::All),
        Selector::Slice(..) | Selector::Filter(_) => None,
    };
    match segment {
        Segment::Descendant(inner) if !descendants => step(inner, true),
        Segment::Descendant(_) => None,
        Segment::Selector(selector) => Some(Step { descendants, picks: vec![pick(selector)?] }),
        Segment::Selectors(all) => Some(Step { descendants, picks: all.iter().map(pick).collect::<Option<_>>()? }),
    }
}

/// The first value in the order of RFC 9535, section 2.5.2: what a value holds itself before what lies deeper.
fn walk<'v>(value: &'v Value, steps: &[Step], left: &mut usize) -> Result<Option<&'v Value>, TooLarge> {
    *left = left.checked_sub(1).ok_or(TooLarge)?;
    let Some((step, rest)) = steps.split_first() else { return Ok(Some(value)) };
    for pick in &step.picks {
        let found = match (pick, value) {
            (Pick::Name(name), Value::Object(map)) => find_in(map.get(name), rest, left)?,
            (Pick::Index(index), Value::Array(all)) => find_in(at(all, *index), rest, left)?,
            (Pick::All, Value::Array(all)) => find_in(all, rest, left)?,
            (Pick::All, Value::Object(map)) => find_in(map.values(), rest, left)?,
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    if !step.descendants {
        return Ok(None);
    }
    match value {
        Value::Array(all) => find_in(all, steps, left),
        Value::Object(map) => find_in(map.values(), steps, left),
        _ => Ok(None),
    }
}

fn find_in<'v>(
    values: impl IntoIterator<Item = &'v Value>,
    steps: &[Step],
    left: &mut usize,
) -> Result<Option<&'v Value>, TooLarge> {
    for value in values {
        if let Some(found) = walk(value, steps, left)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn at(all: &[Value], index: i64) -> Option<&Value> {
    let place = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 { all.get(all.len().checked_sub(place)?) } else { all.get(place) }
}

/// Counts the values of a document, each as often as it lies deep.
fn places(value: &Value, depth: usize, left: &mut usize) -> Result<(), TooLarge> {
    *left = left.checked_sub(depth).ok_or(TooLarge)?;
    match value {
        Value::Array(all) => all.iter().try_for_each(|value| places(value, depth + 1, left)),
        Value::Object(map) => map.values().try_for_each(|value| places(value, depth + 1, left)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn found(path: &str, document: &Value) -> Result<Option<Value>, TooLarge> {
        JsonPath::compile(path).unwrap().find(document).map(|found| found.cloned())
    }

    #[test]
    fn the_first_value_is_what_the_standard_says() {
        let document = json!({ "a": { "id": 1, "b": [{ "id": 2 }, { "id": 3 }] }, "id": 4, "it's": 5, "n": null });
        for (path, value) in [
            ("$", Some(document.clone())),
            ("$..id", Some(json!(4))),
            ("$.a..id", Some(json!(1))),
            ("$.a.b[1].id", Some(json!(3))),
            ("$.a.b[-1].id", Some(json!(3))),
            ("$.a.b[-3]", None),
            ("$.a.b[*]['id']", Some(json!(2))),
            ("$['x', 'id']", Some(json!(4))),
            ("$[\"it's\"]", Some(json!(5))),
            ("$.n", Some(json!(null))),
            ("$.a.b[?@.id == 3].id", Some(json!(3))),
            ("$.a.b[1:].id", Some(json!(3))),
            ("$..nothing", None),
        ] {
            assert_eq!(found(path, &document), Ok(value), "{path}");
        }
    }

    #[test]
    fn deep_and_broad_documents_cost_neither_memory_nor_much_time() {
        let mut deep = json!({ "x": 1 });
        for _ in 0..100 {
            deep = json!([deep, [0, 0]]);
        }
        let broad = Value::Array(vec![deep; 2000]);
        assert_eq!(found("$..id", &broad), Ok(None));
        assert_eq!(found("$..x", &broad), Ok(Some(json!(1))));
        assert_eq!(found("$..[?@.id == 1]", &broad), Err(TooLarge));
        assert_eq!(found("$..*..*..*..id", &broad), Err(TooLarge));
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![any::<u8>().prop_map(Value::from), Just(Value::Null), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c]", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_walked_finds_what_the_library_finds(
            document in document(),
            segments in prop::collection::vec(
                prop::sample::select(vec![".a", ".b", "..a", "[0]", "[-1]", "[*]", ".*", "..*", "..[0]", "['a','b']", "[1,'c']"]),
                0..4,
            ),
        ) {
            let written = format!("${}", segments.concat());
            let query = jsonpath_rust::parser::parse_json_path(&written).unwrap();
            let all = jsonpath_rust::query::js_path_process(&query, &document).unwrap();
            let all: Vec<Value> = all.into_iter().map(|found| found.val().clone()).collect();
            let walked = found(&written, &document).unwrap();
            // The library's order after a descendant segment, and of several selectors on several nodes, isn't the
            // standard's (RFC 9535, 2.5): there the value must be one of those that it finds.
            if written.contains("..") || written.contains(',') {
                prop_assert_eq!(walked.is_some(), !all.is_empty(), "{}", &written);
                prop_assert!(walked.is_none_or(|value| all.contains(&value)), "{}", written);
            } else {
                prop_assert_eq!(walked.as_ref(), all.first(), "{}", written);
            }
        }
    }
}

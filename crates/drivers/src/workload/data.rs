//! Data feeds: named sources of rows whose fields templates use. All synthetic.

use std::collections::BTreeMap;
use std::path::Path;

use rand_distr::Zipf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::stable_hash;
use super::feed::{Feed, Kind, Order};
use super::keys::{EXPONENT_DEFAULT, KEYS_MAX, Law, Scatter};
use super::rows::Rows;
use slatest_core::model::{Problem, Problems, suggest};
use slatest_core::source::{Located, Source};

/// One feed, as written: exactly one of `generate`, `keys`, `csv`, `jsonl`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Synthetic rows of a kind: `people` or `ids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Located<String>>,
    /// Keys drawn by a law: `uniform`, `zipfian` or `sequential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Located<String>>,
    /// A CSV file with a header line, from the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Located<String>>,
    /// A file with one JSON object a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<Located<String>>,
    /// How many rows or keys there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Located<u64>>,
    /// Skew of `zipfian`, above 0; default 0.99 (YCSB's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exponent: Option<Located<f64>>,
    /// Text before each id or key: `task-` gives `task-17`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Makes two feeds of one kind differ.
    #[serde(default)]
    pub seed_offset: u64,
    /// Whether each arrival draws a row (`arrival`, default), or each user keeps one (`user`): its number, over again
    /// when there are fewer rows than users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// How rows of a file are taken: `random` (default), `sequential` (and from the first again), or `once`: an arrival
    /// that finds none left can't be sent, which voids the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Located<String>>,
}

/// Who keeps a row of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each arrival draws its own; the steps of its flow see the same one.
    Arrival,
    /// Each user has its own for the whole run.
    User,
}

/// The feeds of one workload, ready to draw from.
#[derive(Debug, Default)]
pub struct Data {
    feeds: Vec<Feed>,
}

impl Data {
    /// Checks and loads the feeds of a workload file.
    ///
    /// # Errors
    /// Every mistake: an unknown kind, a missing file, a count of zero.
    pub fn load(source: &Source, specs: &BTreeMap<String, Located<DataSpec>>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut feeds = Vec::with_capacity(specs.len());
        for (name, spec) in specs {
            let reading = Reading { source, spec, key: format!("data.{name}") };
            if !is_identifier(name) || RESERVED.contains(&name.as_str()) {
                let message = format!("`{name}` can't name a feed");
                let help = format!("use letters, digits and `_`, and none of {}", RESERVED.join(", "));
                problems.0.push(source.problem_at(spec, reading.key, message).with_help(help));
                continue;
            }
            let stream = stable_hash(format!("feed {name} {}", spec.seed_offset).as_bytes());
            if let Some(kind) = problems.take(reading.kind(stream)) {
                let per_user = spec.per == Some(Per::User);
                feeds.push(Feed { name: name.clone(), stream, kind, per_user });
            }
        }
        problems.or(Self { feeds })
    }

    /// Names of the feeds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.feeds.iter().map(|feed| feed.name.as_str())
    }

    /// The feed of this name, and its number.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Feed)> {
        self.feeds.iter().enumerate().find(|(_, feed)| feed.name == name)
    }

    /// The feed of this number.
    pub(super) fn feed(&self, number: usize) -> Option<&Feed> {
        self.feeds.get(number)
    }
}

/// Names that templates know by themselves, which neither a feed nor a capture may take.
pub(super) const RESERVED: [&str; 7] = ["seq", "user", "run", "scenario", "write_id", "fake", "random"];

/// Whether templates can say this name.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Reading<'a> {
    source: &'a Source,
    spec: &'a Located<DataSpec>,
    key: String,
}

impl Reading<'_> {
    fn kind(&self, stream: u64) -> Result<Kind, Problems> {
        let spec = &self.spec.value;
        let mut problems = Problems::default();
        let kind = match (&spec.generate, &spec.keys, &spec.csv, &spec.jsonl) {
            (Some(what), None, None, None) => problems.take(self.generated(what)),
            (None, Some(law), None, None) => problems.take(self.keys(law, stream)),
            (None, None, Some(path), None) => problems.take(self.rows(path, "csv", Rows::csv)),
            (None, None, None, Some(path)) => problems.take(self.rows(path, "jsonl", Rows::jsonl)),
            _ => {
                let message = "a feed needs exactly one of `generate`, `keys`, `csv` and `jsonl`";
                return Err(self.source.problem_at(self.spec, self.key.clone(), message).into());
            }
        };
        let of_file = spec.csv.is_some() || spec.jsonl.is_some();
        if let Some(count) = spec.count.as_ref().filter(|_| of_file) {
            problems.0.push(self.problem(count, "count", "a file says itself how many rows it has"));
        }
        if let Some(order) = spec.order.as_ref().filter(|_| !of_file) {
            problems.0.push(self.problem(order, "order", "only feeds from a file have an order"));
        }
        if let Some(order) = spec.order.as_ref().filter(|_| spec.per == Some(Per::User)) {
            let message = "each user keeps one row, so there is no order in which rows are taken";
            problems.0.push(self.problem(order, "order", message));
        }
        if spec.prefix.is_some() && of_file {
            let message = "rows of a file get no prefix: write it in the template";
            problems.0.push(self.source.problem_at(self.spec, format!("{}.prefix", self.key), message));
        }
        let zipfian = spec.keys.as_ref().is_some_and(|law| law.value == "zipfian");
        if let Some(exponent) = spec.exponent.as_ref().filter(|_| !zipfian) {
            problems.0.push(self.problem(exponent, "exponent", "only `keys: zipfian` has an exponent"));
        }
        match kind {
            Some(kind) => problems.or(kind),
            None => Err(problems),
        }
    }

    fn generated(&self, what: &Located<String>) -> Result<Kind, Problems> {
        let count = self.count();
        let seed = self.spec.seed_offset;
        let prefix = |default: &str| self.spec.prefix.clone().unwrap_or_else(|| default.to_owned());
        match what.as_str() {
            "people" => Ok(Kind::People { count: count?, prefix: prefix("person-"), seed }),
            "ids" => Ok(Kind::Ids { count: count?, prefix: prefix(""), seed }),
            other => {
                let message = format!("`{other}` can't be generated");
                Err(self.problem(what, "generate", message).with_help(suggest(other, ["people", "ids"])).into())
            }
        }
    }

    fn keys(&self, law: &Located<String>, stream: u64) -> Result<Kind, Problems> {
        let count = self.count();
        let exponent = self.spec.exponent.as_ref().map_or(EXPONENT_DEFAULT, |e| e.value);
        let law = match law.as_str() {
            "uniform" => Law::Uniform,
            "sequential" => Law::Sequential,
            "zipfian" => {
                let wrong = || {
                    let message = format!("an exponent must lie above 0 and at or below 100, not {exponent}");
                    let place = self.spec.exponent.as_ref().map(|e| (e.line, e.column)).unwrap_or_default();
                    let at = Located { value: (), line: place.0, column: place.1 };
                    Problems::from(self.problem(&at, "exponent", message))
                };
                if !(exponent > 0.0 && exponent <= 100.0) {
                    return Err(wrong());
                }
                let count = *count.as_ref().map_err(Clone::clone)?;
                let ranks = Zipf::new(count as f64, exponent).map_err(|_| wrong())?;
                Law::Zipfian { ranks, scatter: Scatter::new(count, stream) }
            }
            other => {
                let message = format!("`{other}` is no law of keys");
                let help = suggest(other, ["uniform", "zipfian", "sequential"]);
                return Err(self.problem(law, "keys", message).with_help(help).into());
            }
        };
        Ok(Kind::Keys { count: count?, prefix: self.spec.prefix.clone().unwrap_or_default(), law })
    }

    fn rows(
        &self,
        path: &Located<String>,
        field: &str,
        read: impl Fn(&Path) -> Result<Rows, String>,
    ) -> Result<Kind, Problems> {
        let order = match self.spec.order.as_ref().map(|order| (order, order.as_str())) {
            None | Some((_, "random")) => Order::Random,
            Some((_, "sequential")) => Order::Sequential,
            Some((_, "once")) => Order::Once,
            Some((order, other)) => {
                let message = format!("`{other}` is no order of rows");
                let help = suggest(other, ["random", "sequential", "once"]);
                return Err(self.problem(order, "order", message).with_help(help).into());
            }
        };
        let rows = read(&self.source.path(path)).map_err(|reason| {
            let help = if reason.contains(": line ") {
                "mend the line in that file"
            } else {
                "the path starts from the folder of the workload file"
            };
            self.problem(path, field, reason).with_help(help)
        })?;
        Ok(Kind::Rows { rows, order })
    }

    fn count(&self) -> Result<u64, Problems> {
        match &self.spec.count {
            None => {
                let message = "a feed that is made up needs a `count`";
                Err(self.source.problem_at(self.spec, self.key.clone(), message).into())
            }
            Some(count) if (1..=KEYS_MAX).contains(&count.value) => Ok(count.value),
            Some(count) => {
                let message = format!("a count must lie from 1 to {KEYS_MAX}, not {count}");
                Err(self.problem(count, "count", message).into())
            }
        }
    }

    fn problem<T>(&self, at: &Located<T>, field: &str, message: impl Into<String>) -> Problem {
        self.source.problem_at(at, format!("{}.{field}", self.key), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::ExecutionId;

    fn load(yaml: &str) -> Result<Data, Problems> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
        let source = Source::new("workloads/w.yaml", yaml, folder);
        let specs: BTreeMap<String, Located<DataSpec>> = source.parse().unwrap();
        Data::load(&source, &specs)
    }

    fn id(seed: u64, seq: u64) -> ExecutionId {
        ExecutionId { seed, run: "r".into(), scenario: "s".into(), seq, step: 0, user: 0 }
    }

    fn text(data: &Data, feed: &str, id: &ExecutionId, field: &str) -> String {
        let (_, feed) = data.find(feed).unwrap();
        let mut out = String::new();
        feed.field(feed.row(id), field).unwrap().write(&mut out);
        out
    }

    #[test]
    fn a_row_says_the_same_in_every_run() {
        let data = load(
            "p: { generate: people, count: 50 }\nq: { generate: people, count: 50, seed_offset: 1 }\n\
                         i: { generate: ids, count: 50 }",
        )
        .unwrap();
        let (_, people) = data.find("p").unwrap();
        let (_, others) = data.find("q").unwrap();
        assert_eq!(people.field(7, "id"), Some(super::super::feed::Cell::Text("person-7".into())));
        assert_eq!(people.field(7, "name"), people.field(7, "name"));
        assert_ne!(people.field(7, "email"), others.field(7, "email"));
        let (_, ids) = data.find("i").unwrap();
        assert_ne!(ids.field(7, "id"), ids.field(8, "id"));
        assert_eq!(people.field(7, "wings"), None);
    }

    #[test]
    fn the_row_depends_on_seed_and_execution() {
        let data = load("p: { generate: people, count: 1000000 }").unwrap();
        let draw = |seed, seq| text(&data, "p", &id(seed, seq), "id");
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }

    #[test]
    fn a_user_keeps_its_row() {
        let data = load("p: { generate: people, count: 50, per: user }\nw: { csv: wards.csv, per: user }").unwrap();
        let of = |user, seq, feed| text(&data, feed, &ExecutionId { user, ..id(seq, seq) }, "id");
        assert_eq!(
            (of(7, 1, "p"), of(7, 2, "p"), of(57, 3, "p")),
            ("person-7".into(), "person-7".into(), "person-7".into())
        );
        assert_eq!(of(8, 1, "p"), "person-8");
        let ward = |user| text(&data, "w", &ExecutionId { user, ..id(1, 9) }, "ward");
        assert_eq!([ward(0), ward(1), ward(3)], ["ward-1", "ward, two", "ward-1"]);
        assert!(load("w: { csv: wards.csv, per: user, order: sequential }").is_err());
    }

    #[test]
    fn files_are_feeds_too() {
        let data =
            load("c: { csv: wards.csv, order: sequential }\nj: { jsonl: wards.jsonl, order: sequential }").unwrap();
        let wards: Vec<String> = (0..4).map(|seq| text(&data, "c", &id(1, seq), "ward")).collect();
        assert_eq!(wards, ["ward-1", "ward, two", "ward-3", "ward-1"]);
        let beds: Vec<String> = (0..3).map(|seq| text(&data, "j", &id(1, seq), "beds")).collect();
        assert_eq!(beds, ["12", "8", "12"]);
    }

    #[test]
    fn rows_that_are_taken_once_come_to_an_end() {
        let data = load("c: { csv: wards.csv, order: once }").unwrap();
        let (_, feed) = data.find("c").unwrap();
        assert_eq!(text(&data, "c", &id(1, 2), "ward"), "ward-3");
        assert!(!feed.is_used_up(feed.row(&id(1, 2))) && feed.is_used_up(feed.row(&id(1, 3))));
        assert_eq!(feed.field(feed.row(&id(1, 3)), "ward"), None);
    }

    #[test]
    fn every_mistake_is_found_at_its_line() {
        for (yaml, line, says) in [
            ("a: { count: 5 }", 1, "exactly one"),
            ("a: { generate: people, keys: uniform, count: 5 }", 1, "exactly one"),
            ("x: { generate: ids, count: 1 }\na: { generate: peple, count: 5 }", 2, "did you mean `people`"),
            ("a:\n  keys: zipfain\n  count: 5", 2, "did you mean `zipfian`"),
            ("a: { keys: uniform }", 1, "needs a `count`"),
            ("a:\n  keys: uniform\n  count: 0", 3, "must lie from 1"),
            ("a:\n  keys: zipfian\n  count: 5\n  exponent: -1", 4, "exponent"),
            ("a: { keys: uniform, count: 5, exponent: 1 }", 1, "only `keys: zipfian`"),
            ("a: { csv: nowhere.csv }", 1, "nowhere.csv can't be read"),
            ("a: { csv: ragged.csv }", 1, "line 3 has 1 fields, the header has 2"),
            ("a: { jsonl: wards.csv }", 1, "line 1 is not a JSON object"),
            ("a: { csv: wards.csv, count: 3 }", 1, "says itself"),
            ("a: { csv: wards.csv, order: sideways }", 1, "no order"),
            ("a: { keys: uniform, count: 5, order: random }", 1, "only feeds from a file"),
            ("seq: { keys: uniform, count: 5 }", 1, "can't name a feed"),
            ("task-keys: { keys: uniform, count: 5 }", 1, "can't name a feed"),
        ] {
            let problems = load(yaml).expect_err(yaml);
            assert_eq!(problems.0.len(), 1, "{yaml}: {problems}");
            assert_eq!(problems.0[0].place.line, line, "{yaml}: {problems}");
            assert!(problems.to_string().contains(says), "{yaml}: {problems}");
        }
    }
}

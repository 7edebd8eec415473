//! Templates: compiled when the workload is, rendered once an execution.

use std::borrow::Cow;

use super::draw::stable_hash;
use super::expression::{Expression, Names, Unknown};
use super::jinja::Jinja;
use super::{Data, Values};
use slatest_core::model::{Problem, WORKLOAD_FAULT};
use slatest_core::source::{Located, Source};

/// Most bytes that one rendering may yield.
pub(super) const RENDERED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A template that could not be rendered for one execution. Its words are a kind of error: what could not be built was
/// never sent, and the target has no part in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{WORKLOAD_FAULT}{0}")]
pub struct RenderError(pub String);

impl RenderError {
    /// A feed whose rows are taken once has none left.
    pub(super) fn no_row(feed: &str) -> Self {
        Self(format!("the feed {feed} has no row left"))
    }
}

/// Text with `{{ … }}` in it. A text without any is kept as it is and costs nothing to render.
///
/// Templates know `seq`, `user`, `run` and `scenario`; one row of each feed (`{{ clinicians.id }}`);
/// `fake.*` (`sentence`, `paragraph`, `word`, `name`, `first_name`, `last_name`, `email`, `phone`,
/// `city`, `street`, `company`, `uuid`, `digits`); `random.int(a, b)`, `random.text(n)`,
/// `random.hex(n)`, `random.uuid()`, `random.choice([…])`; what the user captured; the filters
/// `urlencode` and `json`; and the statements and filters of Jinja. Two executions with one
/// [`super::ExecutionId`] see the same text.
#[derive(Clone, Debug)]
pub struct Template {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Static(String),
    Segments(Vec<Segment>),
    Jinja(Jinja),
}

/// A part of a text that is taken apart.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Compiles a text. `key` is where it stands (`operations[2].request.get`), `captures` the
    /// names that some operation of the workload captures.
    ///
    /// # Errors
    /// A malformed template, or one that names what is neither a feed, a capture nor built in.
    pub fn compile(
        source: &Source,
        text: &Located<String>,
        key: &str,
        data: &Data,
        captures: &[String],
    ) -> Result<Self, Problem> {
        Self::read(text, key, &Names { data, captures }).map_err(|unknown| {
            let problem = source.problem_at(text, key, unknown.message);
            match unknown.help {
                Some(help) => problem.with_help(help),
                None => problem,
            }
        })
    }

    /// Compiles a text; `key` also tells its random draws from those of other templates.
    pub(super) fn read(text: &str, key: &str, names: &Names<'_>) -> Result<Self, Unknown> {
        let salt = stable_hash(key.as_bytes());
        let form = if !text.contains("{{") && !text.contains("{%") {
            Form::Static(text.to_owned())
        } else if let Some(segments) = split(text, names, salt)? {
            Form::Segments(segments)
        } else {
            Form::Jinja(Jinja::compile(text, names, salt)?)
        };
        Ok(Self { form })
    }

    /// The text, when it is the same for all executions.
    pub fn as_static(&self) -> Option<&str> {
        match &self.form {
            Form::Static(text) => Some(text),
            Form::Segments(_) | Form::Jinja(_) => None,
        }
    }

    /// The text for one execution.
    ///
    /// # Errors
    /// When a capture that it needs isn't there yet, or a filter fails.
    pub fn render<'t>(&'t self, values: &Values<'_>) -> Result<Cow<'t, str>, RenderError> {
        match &self.form {
            Form::Static(text) => Ok(Cow::Borrowed(text)),
            Form::Segments(segments) => {
                let mut out = String::new();
                for segment in segments {
                    match segment {
                        Segment::Text(text) => out.push_str(text),
                        Segment::Expression(expression) => expression.render(values, &mut out)?,
                    }
                    bounded(out.len())?;
                }
                Ok(Cow::Owned(out))
            }
            Form::Jinja(jinja) => jinja.render(values).map(Cow::Owned),
        }
    }
}

/// # Errors
/// When a rendering has grown past its bound.
pub(super) fn bounded(length: usize) -> Result<(), RenderError> {
    if length > RENDERED_BYTES_MAX {
        return Err(RenderError(format!("yields more than {} MiB", RENDERED_BYTES_MAX / 1024 / 1024)));
    }
    Ok(())
}

/// Takes a text apart; `None` when it holds more than plain expressions.
fn split(text: &str, names: &Names<'_>, salt: u64) -> Result<Option<Vec<Segment>>, Unknown> {
    if text.contains("{%") || text.contains("{#") {
        return Ok(None);
    }
    let mut segments = Vec::new();
    let mut rest = text;
    let mut draws = 0;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            segments.push(Segment::Text(before.to_owned()));
        }
        let Some((inside, after)) = after.split_once("}}") else { return Ok(None) };
        match Expression::parse(inside, names, salt, &mut draws)? {
            Some(expression) => segments.push(Segment::Expression(expression)),
            None => return Ok(None),
        }
        rest = after;
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest.to_owned()));
    }
    Ok(Some(segments))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::{DataSpec, ExecutionId, JsonTemplate};
    use super::*;

    struct Desk {
        source: Source,
        data: Arc<Data>,
        captures: Vec<String>,
    }

    impl Desk {
        fn new() -> Self {
            let text = "clinicians: { generate: people, count: 15000, prefix: clinician- }\n\
                        tasks: { keys: zipfian, count: 150000, prefix: task- }\n";
            let source = Source::new("workloads/test.yaml", text, "");
            let specs: BTreeMap<String, Located<DataSpec>> = source.parse().unwrap();
            let data = Arc::new(Data::load(&source, &specs).unwrap());
            Self { source, data, captures: vec!["task".into()] }
        }

        fn compile(&self, text: &str) -> Result<Template, Problem> {
            Template::compile(
                &self.source,
                &text.to_owned().into(),
                "operations[0].request.get",
                &self.data,
                &self.captures,
            )
        }

        fn render(&self, text: &str, seq: u64) -> String {
            self.rendered(&self.compile(text).unwrap(), seq).unwrap()
        }

        fn rendered(&self, template: &Template, seq: u64) -> Result<String, RenderError> {
            let id = ExecutionId { seed: 1, run: "run-1".into(), scenario: "api".into(), seq, step: 0, user: 3 };
            let captured = BTreeMap::from([("task".to_owned(), "t/1 \"x\"".to_owned())]);
            let values = Values { id, data: &self.data, captured: &captured };
            template.render(&values).map(Cow::into_owned)
        }

        fn document(&self, document: serde_json::Value) -> String {
            let captures = &self.captures;
            let template = JsonTemplate::compile(&self.source, &document.into(), "key", &self.data, captures).unwrap();
            let id = ExecutionId { seed: 1, run: "run-1".into(), scenario: "api".into(), seq: 17, step: 0, user: 3 };
            let captured = BTreeMap::from([("task".to_owned(), "t/1 \"x\"".to_owned())]);
            template.render(&Values { id, data: &self.data, captured: &captured }).unwrap().into_owned()
        }
    }

    #[test]
    fn text_without_expressions_is_kept_as_it_is() {
        let desk = Desk::new();
        for text in ["", "/api/v1/tasks", "}} { # %}", "select '{'"] {
            let template = desk.compile(text).unwrap();
            assert_eq!(template.as_static(), Some(text));
            assert_eq!(desk.rendered(&template, 1).unwrap(), text);
        }
    }

    #[test]
    fn names_stand_for_values_of_the_execution() {
        let desk = Desk::new();
        assert_eq!(desk.render("{{ run }}/{{ scenario }}/{{seq}}/{{ user }}", 17), "run-1/api/17/3");
        assert_eq!(desk.render("/tasks/{{ task | urlencode }}", 1), "/tasks/t%2F1%20%22x%22");
        let id = desk.render("{{ clinicians.id }}", 1);
        let number = desk.render("{{ clinicians.n }}", 1);
        assert_eq!(id, format!("clinician-{number}"), "all fields are of one row");
        assert_eq!(desk.render("{{ random.text(2048) }}", 1).len(), 2048);
        let drawn: i64 = desk.render("{{ random.int(-3, 3) }}", 1).parse().unwrap();
        assert!((-3..=3).contains(&drawn));
        let both = desk.render("{{ fake.uuid }} {{ fake.uuid }}", 1);
        let (first, second) = both.split_once(' ').unwrap();
        assert_ne!(first, second, "each place draws by itself");
    }

    #[test]
    fn the_short_way_and_the_engine_say_the_same() {
        let desk = Desk::new();
        let names = Names { data: &desk.data, captures: &desk.captures };
        let salt = stable_hash(b"operations[0].request.get");
        for text in [
            "{{ clinicians.email }}|{{ fake.sentence }}|{{ random.int(1, 600) }}|{{ task | urlencode }}\n",
            "{{ seq | json }} {{ random.uuid() }} {{ tasks.id | json }} {{ fake.phone }} {{ random.hex(9) }}",
            "{{ random.text(40) | urlencode }}{{ fake.name }}{{ run }}",
        ] {
            let short = desk.compile(text).unwrap();
            assert!(matches!(short.form, Form::Segments(_)), "{text}");
            let engine = Template { form: Form::Jinja(Jinja::compile(text, &names, salt).unwrap()) };
            for seq in 0..50 {
                assert_eq!(desk.rendered(&short, seq), desk.rendered(&engine, seq), "{text}");
            }
        }
    }

    #[test]
    fn the_engine_does_what_is_richer() {
        let desk = Desk::new();
        assert_eq!(desk.render("{% for i in range(3) %}{{ i }},{% endfor %}", 1), "0,1,2,");
        let choice = desk.render("{{ random.choice(['urgent', 'routine']) }}", 5);
        assert!(["urgent", "routine"].contains(&choice.as_str()));
        assert_eq!(desk.render("{{ '%05d' | format(seq) }}", 17), "00017");
    }

    #[test]
    fn mistakes_are_found_when_it_is_compiled() {
        let desk = Desk::new();
        let mut wrong = Vec::new();
        for (text, says) in [
            ("{{ clinicans.id }}", "clinicans"),
            ("{{ clinicians.idd }}", "idd"),
            ("{{ clinicians }}", "several"),
            ("{{ clinicians[seq] }}", "several"),
            ("{{ fake.sentense }}", "sentense"),
            ("{{ random.int(6, 1) }}", "above"),
            ("{{ random.text(-1) }}", "length"),
            ("{{ random.dice() }}", "dice"),
            ("{{ nobody }}", "nobody"),
            ("{{ seq.x }}", "fields"),
            ("{{ seq", "is not closed"),
            ("{% if %}", "can't be read"),
            ("{{ seq | nofilter }}", "nofilter"),
            ("{{ task | nofilter }}", "nofilter"),
            ("{{ seq / 0 }}", "1 / 0"),
            ("{% include 'x' %}", "include"),
            ("{{ debug() }}", "debug"),
            ("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", "fuel"),
            ("{{ 'x' * 9000000 }}", "MiB"),
            ("{{ random.text(1000000) * 9 }}", "MiB"),
        ] {
            match desk.compile(text) {
                Ok(_) => wrong.push(format!("{text} was taken")),
                Err(problem) if !problem.to_string().contains(says) => wrong.push(format!("{text}: {problem}")),
                Err(_) => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_capture_that_is_missing_says_so() {
        let desk = Desk::new();
        let id = ExecutionId { seed: 1, run: "r".into(), scenario: "s".into(), seq: 1, step: 0, user: 1 };
        let captured = BTreeMap::new();
        let values = Values { id, data: &desk.data, captured: &captured };
        for text in ["/t/{{ task }}", "/t/{{ task | upper }}"] {
            let error = desk.compile(text).unwrap().render(&values).unwrap_err();
            assert_eq!(error.to_string(), "workload: task was not captured yet");
        }
        let text = "{% if task is defined %}{{ task }}{% else %}none{% endif %}";
        assert_eq!(desk.compile(text).unwrap().render(&values).unwrap(), "none");
    }

    #[test]
    fn documents_escape_what_is_rendered_and_leave_json_alone() {
        let desk = Desk::new();
        let document = serde_json::json!({
            "b": 1, "a": ["{{ task }}", null, true], "n": "{{ seq | json }}", "{{ scenario }}": "{{ task | json }}"
        });
        assert_eq!(desk.document(document), r#"{"b":1,"a":["t/1 \"x\"",null,true],"n":17,"api":"t/1 \"x\""}"#);
        assert_eq!(desk.document(serde_json::json!({"z": 1, "a": "plain"})), r#"{"z":1,"a":"plain"}"#);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_one_execution_sees_one_text(
            parts in proptest::collection::vec(prop_oneof![
                "[ -~]{0,8}",
                Just("{{ ".to_owned()), Just(" }}".to_owned()), Just("{% if ".to_owned()), Just(" %}".to_owned()),
                Just("{% endif %}".to_owned()), Just("clinicians.id".to_owned()), Just("random.text(".to_owned()),
                Just("random.choice([".to_owned()), Just("fake.word".to_owned()), Just(" | json".to_owned()),
                Just("task".to_owned()), Just("seq".to_owned()), Just(")".to_owned()), Just("9999999999".to_owned()),
                Just("\u{1F600}é".to_owned()),
            ], 0..12),
            seq in any::<u64>(),
        ) {
            let desk = Desk::new();
            let text = parts.concat();
            if let Ok(template) = desk.compile(&text) {
                prop_assert_eq!(desk.rendered(&template, seq), desk.rendered(&template, seq));
            }
        }
    }
}

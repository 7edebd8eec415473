//! What is typed becomes three files that the readers of files accept.

use clap::Command;

use super::*;
use slatest_engine::profile::{Overrides, resolve};

fn parsed<A: clap::Args + clap::FromArgMatches>(words: &[&str]) -> A {
    let command = A::augment_args(Command::new("verb").no_binary_name(true));
    let matches = command.try_get_matches_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    A::from_arg_matches(&matches).unwrap()
}

/// The files of a request that is saved.
fn files<A>(
    args: &A,
    load: &LoadArgs,
    request: impl Fn(&A, &Secrets) -> Result<Request, QuickError>,
) -> Result<Files, QuickError> {
    Files::new(&request(args, &Secrets::named())?, load)
}

fn http(words: &[&str]) -> Result<Files, QuickError> {
    let args: HttpArgs = parsed(words);
    files(&args, &args.load, HttpArgs::request)
}

/// Resolves files as `run` does; all problems as one text.
fn resolved(files: &Files) -> Result<slatest_engine::profile::Plan, String> {
    let folder = tempfile::tempdir().unwrap();
    let library = files.library(folder.path());
    let profile = library.profile(files.name).unwrap();
    let target = library.target(files.name).unwrap();
    resolve(&library, &profile, &target, &Overrides::default(), "run")
        .map(|resolved| resolved.plan)
        .map_err(|problems| problems.to_string())
}

#[test]
fn a_url_is_three_files_that_resolve() {
    let files =
        http(&["localhost:8080/tasks?limit=50", "-r", "300/s", "-d", "1m", "--p99", "500ms", "--errors", "0.1%"])
            .unwrap();
    insta::assert_snapshot!(files.each().map(|(_, text)| text).join("---\n"));
    let plan = resolved(&files).unwrap();
    assert_eq!(plan.objectives.len(), 2);
    assert_eq!(plan.scenarios.len(), 1);
}

#[test]
fn every_protocol_resolves() {
    let each: Vec<Files> = vec![
        http(&["http://127.0.0.1:1/", "-X", "delete"]).unwrap(),
        http(&[
            "http://[::1]:1",
            "--json",
            "{\"a\":\"{{ seq }}\"}",
            "-c",
            "5",
            "-L",
            "--status",
            "2xx",
            "-H",
            "X-A: b",
        ])
        .unwrap(),
        {
            let args: WebsocketArgs =
                parsed(&["ws://localhost:1/echo", "--send", "{\"id\":\"{{ seq }}\"}", "--correlate", "$.id"]);
            files(&args, &args.load, |args, _| args.request()).unwrap()
        },
        {
            let args: WebsocketArgs = parsed(&["ws://localhost:1/sync", "--edit", "40", "-r", "20/s"]);
            files(&args, &args.load, |args, _| args.request()).unwrap()
        },
        {
            let args: KafkaArgs =
                parsed(&["localhost:9092", "events", "--key", "{{ seq }}", "--end-to-end", "--size", "100"]);
            files(&args, &args.load, KafkaArgs::request).unwrap()
        },
        {
            let args: RedisArgs =
                parsed(&["redis://localhost:6379", "-r", "1000/s", "GET", "session:{{ random.int(1, 9) }}"]);
            files(&args, &args.load, RedisArgs::request).unwrap()
        },
        {
            let args: SqlArgs = parsed(&["sqlite:app.db", "select $1", "--param", "1"]);
            files(&args, &args.load, SqlArgs::request).unwrap()
        },
    ];
    for files in each {
        let said = resolved(&files).map(drop);
        assert_eq!(said, Ok(()), "{}\n{}\n{}", files.profile, files.workload, files.target);
    }
}

#[test]
fn credentials_are_named_and_never_written() {
    let each = [
        http(&["localhost:1", "-H", "Authorization: Bearer geheim", "-H", "X-Api-Key: geheim"]).unwrap(),
        http(&["localhost:1", "-u", "somebody:geheim"]).unwrap(),
        {
            let args: SqlArgs = parsed(&["postgres://app:geheim@localhost/app", "select 1"]);
            files(&args, &args.load, SqlArgs::request).unwrap()
        },
        {
            let args: AmqpArgs = parsed(&["amqp://app:geheim@localhost/app", "jobs", "--declare"]);
            files(&args, &args.load, AmqpArgs::request).unwrap()
        },
        {
            let args: RedisArgs = parsed(&["redis://app:geheim@localhost:6379", "PING"]);
            files(&args, &args.load, RedisArgs::request).unwrap()
        },
        {
            let args: KafkaArgs = parsed(&["localhost:1", "events", "-u", "app:geheim"]);
            files(&args, &args.load, KafkaArgs::request).unwrap()
        },
    ];
    for files in &each {
        let all = files.each().map(|(_, text)| text).join("\n");
        assert!(!all.contains("geheim") && !all.contains("Z2VoZWlt"), "{all}");
        assert!(all.contains("env: "), "{all}");
    }
}

#[test]
fn a_kept_credential_is_in_a_file_of_this_user_alone_and_goes_with_the_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let args: HttpArgs = parsed(&["localhost:1", "-H", "Authorization: Bearer geheim"]);
    let secrets = Secrets::kept().unwrap();
    let request = args.request(&secrets).unwrap();
    let path = request.request["headers"]["Authorization"]["file"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Bearer geheim");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(secrets);
    assert!(!Path::new(&path).exists());
}

#[test]
fn load_goes_only_where_it_is_allowed() {
    let error = http(&["https://api.example.com/"]).unwrap_err();
    assert_eq!(error, QuickError::NotAllowed { host: "api.example.com".into() });
    assert!(error.to_string().contains("--allow api.example.com"), "{error}");
    let allowed = http(&["https://API.example.com/", "--allow", "api.example.com"]).unwrap();
    assert!(allowed.target.contains("staging"), "{}", allowed.target);
    for own in ["localhost", "127.0.0.1:80", "[::1]:80", "127.9.9.9"] {
        assert!(http(&[own]).unwrap().target.contains("sandbox"), "{own}");
    }
    // A user before the host, or a host that only begins like this machine's.
    for other in ["127.0.0.1.example.com", "localhost.example.com", "http://localhost@example.com/"] {
        assert!(http(&[other]).is_err(), "{other}");
    }
}

#[test]
fn what_cannot_be_meant_is_said_in_words() {
    let said = [
        http(&["ws://localhost/"]),
        http(&["http:///x"]),
        http(&["localhost", "-X", "BREW"]),
        http(&["localhost", "--json", "{"]),
        http(&["localhost", "--json", "@/nowhere.json"]),
        http(&["localhost", "-H", "novalue"]),
        http(&["localhost", "-H", "a: b", "-H", "A: c"]),
        http(&["localhost", "-u", "nobody"]),
        http(&["http://u:geheim@localhost/"]),
    ]
    .map(|result| result.unwrap_err().to_string())
    .join("\n");
    assert!(!said.contains("geheim"), "{said}");
    insta::assert_snapshot!(said);
}

proptest::proptest! {
    /// Whatever stands in a URL or a header, the files say it back or it is refused; nothing panics.
    #[test]
    fn what_is_typed_comes_through_yaml_unchanged(path in "[ -~]{0,40}", value in "[ -~äß😀]{0,40}") {
        let url = format!("http://localhost:1/{path}");
        let header = format!("X-A: {value}");
        let words = [url.as_str(), "-H", &header];
        if let Ok(files) = http(&words) {
            let workload: serde_json::Value = Source::new("w", files.workload.as_str(), ".").parse().unwrap();
            let request = &workload["operations"][0]["request"];
            proptest::prop_assert_eq!(request["get"].as_str().unwrap(), format!("/{path}"));
            if let Some(sent) = request["headers"]["X-A"].as_str() {
                proptest::prop_assert_eq!(sent, value.trim());
            }
        }
    }
}

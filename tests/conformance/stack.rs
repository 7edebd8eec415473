//! The real servers that `tests/stack/stack up` started: their endpoints, ports and secrets.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use slatest_core::source::Source;
use slatest_engine::profile::Target;

/// What to do when a server is missing.
const WAY_OUT: &str = "bring the stack up with `tests/stack/stack up` and try again \
                       (SLATEST_STACK_DIR says where it lives)";

/// The stack of this machine.
pub struct Stack {
    facts: Value,
    target: Target,
}

/// The stack that is up.
///
/// # Panics
/// With the sentence that says how to bring it up, when it isn't.
pub fn stack() -> &'static Stack {
    static STACK: LazyLock<Result<Stack, String>> = LazyLock::new(Stack::read);
    match &*STACK {
        Ok(stack) => stack,
        Err(reason) => panic!("{reason}: {WAY_OUT}"),
    }
}

impl Stack {
    fn read() -> Result<Self, String> {
        let folder = std::env::var_os("SLATEST_STACK_DIR").map_or_else(|| "/tmp/slatest-stack".into(), PathBuf::from);
        let path = folder.join("stack.json");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let facts: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let target = facts["target"].as_str().ok_or_else(|| format!("{}: names no target file", path.display()))?;
        let source = Source::read(Path::new(target)).map_err(|e| e.to_string())?;
        let target = source.parse().map_err(|e| e.to_string())?;
        Ok(Self { facts, target })
    }

    /// An endpoint of the stack's target file, as text for a target of a test.
    pub fn endpoint(&self, name: &str) -> String {
        let Some(endpoint) = self.target.endpoints.get(name) else {
            panic!("the stack has no endpoint `{name}`: {WAY_OUT}");
        };
        serde_json::to_string(&endpoint.value).expect("an endpoint can be written")
    }

    /// A port of a component, by the name that `stack env` gives it.
    pub fn port(&self, component: &str, name: &str) -> u16 {
        let port = self.facts["components"][component]["ports"][name].as_u64();
        match port.and_then(|p| u16::try_from(p).ok()) {
            Some(port) => port,
            None => panic!("{component} isn't up (it has no {name}): {WAY_OUT}"),
        }
    }

    /// Path of the PEM file with the CA that signed every server certificate.
    pub fn ca(&self) -> &str {
        self.path(&self.facts["certs"]["ca"])
    }

    /// Paths of a client certificate and its key.
    pub fn client(&self) -> (&str, &str) {
        (self.path(&self.facts["certs"]["client"]), self.path(&self.facts["certs"]["client_key"]))
    }

    /// Path of the file that holds a secret, for `{ file: … }`.
    pub fn secret_file(&self, name: &str) -> &str {
        self.path(&self.facts["secrets"][name])
    }

    /// A secret itself, e.g. to see that it is in no error.
    pub fn secret(&self, name: &str) -> String {
        let path = self.secret_file(name);
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}: {WAY_OUT}"));
        text.trim_end_matches(['\r', '\n']).to_owned()
    }

    fn path<'a>(&self, value: &'a Value) -> &'a str {
        value.as_str().unwrap_or_else(|| panic!("stack.json lacks a path that this test needs: {WAY_OUT}"))
    }
}

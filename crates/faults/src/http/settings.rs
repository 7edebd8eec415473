//! A fault that a hook makes and mends.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::HttpFault;
use crate::url::url_mistake;
use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::model::Span;
use slatest_core::source::CREDENTIAL_WRITTEN;
use slatest_core::target::{Guard, Text, holds_credential, is_credential};
use slatest_core::with_tls;

with_tls! {
    /// Calls hooks: one that breaks, one that mends, one that looks.
    #[derive(PartialEq)]
    pub struct HttpSpec {
        /// Breaks it.
        pub inject: Hook,
        /// Mends it; called whatever happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub heal: Option<Hook>,
        /// Looks: the expected status says that it is sound, any other that it is broken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub probe: Option<Hook>,
    }
}

/// One call. Redirects are not followed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// URL of a GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// URL of a POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// URL of a PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    /// URL of a PATCH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// URL of a DELETE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Headers; credentials by where they come from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Text>,
    /// Body, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Body, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Statuses that are expected; 200 to 299 when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// Longest wait for the whole answer. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// Method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookMethod {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl HookMethod {
    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Hook {
    /// Its method and URL.
    ///
    /// # Errors
    /// In words, when it has none or several.
    pub fn call(&self) -> Result<(HookMethod, &str), String> {
        let all = [
            (HookMethod::Get, &self.get),
            (HookMethod::Post, &self.post),
            (HookMethod::Put, &self.put),
            (HookMethod::Patch, &self.patch),
            (HookMethod::Delete, &self.delete),
        ];
        let mut written = all.into_iter().filter_map(|(method, url)| Some((method, url.as_deref()?)));
        match (written.next(), written.next()) {
            (Some(call), None) => Ok(call),
            (None, _) => Err("names no method: write its URL under get, post, put, patch or delete".into()),
            (Some(_), Some(_)) => Err("names two methods: one call has one".into()),
        }
    }

    fn mistakes(&self, at: &str, folder: &Path, guard: &Guard, found: &mut Vec<Mistake>) {
        match self.call() {
            Err(why) => found.push((at.into(), why)),
            Ok((method, url)) => {
                let key = format!("{at}.{}", method.name().to_ascii_lowercase());
                found.extend(url_mistake(url, guard).map(|why| (key, why)));
            }
        }
        for (name, text) in &self.headers {
            let key = format!("{at}.headers.{name}");
            if http::HeaderName::try_from(name).is_err() {
                found.push((key, format!("`{name}` is no name of a header")));
            } else {
                found.extend(text.mistake(name, folder).map(|why| (key, why)));
            }
        }
        let way_out = format!("{CREDENTIAL_WRITTEN}: send it as a header, by where it comes from");
        if self.body.as_deref().is_some_and(holds_credential) {
            found.push((format!("{at}.body"), way_out.clone()));
        }
        if self.json.as_ref().is_some_and(json_holds_credential) {
            found.push((format!("{at}.json"), way_out));
        }
        if self.json.is_some() && self.body.is_some() {
            found.push((format!("{at}.body"), "a call has one body: either `json` or `body`".into()));
        }
        for status in self.status.iter().filter(|status| !(100..=599).contains(*status)) {
            found.push((format!("{at}.status"), format!("{status} is no status: they go from 100 to 599")));
        }
    }
}

/// Whether a body holds a credential, by its keys or its texts.
fn json_holds_credential(value: &Value) -> bool {
    match value {
        Value::String(text) => holds_credential(text),
        Value::Array(all) => all.iter().any(json_holds_credential),
        Value::Object(map) => {
            map.iter().any(|(key, value)| (is_credential(key) && value.is_string()) || json_holds_credential(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl HttpSpec {}

impl FaultSection for HttpSpec {
    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(HttpFault::new(self, context)?))
    }

    fn mistakes(&self, folder: &Path, guard: &Guard, found: &mut Vec<Mistake>) {
        self.inject.mistakes("inject", folder, guard, found);
        for (at, hook) in [("heal", &self.heal), ("probe", &self.probe)] {
            if let Some(hook) = hook {
                hook.mistakes(at, folder, guard, found);
            }
        }
        if self.cert.is_some() != self.key.is_some() {
            found.push(("cert".into(), "`cert` and `key` go together: a client certificate needs both".into()));
        }
    }
}

//! A user's cookies, for one origin.

use std::fmt::Write as _;

use cookie::{Cookie, Expiration};
use http::HeaderValue;

use slatest_core::model::Nanos;

/// Most cookies that one user keeps, and the longest one: what browsers promise at least.
const COOKIES_MAX: usize = 50;
const COOKIE_BYTES_MAX: usize = 4096;

#[derive(Debug)]
struct Kept {
    name: String,
    value: String,
    path: String,
    secure: bool,
    expires: Nanos,
    /// When it was last taken.
    taken: Nanos,
    /// As the server wrote it: balancers say the same with every answer, and that must cost nothing.
    raw: HeaderValue,
}

/// What the user's browser would keep. Cookies of other hosts are not taken.
#[derive(Debug)]
pub(super) struct Jar {
    host: String,
    tls: bool,
    kept: Vec<Kept>,
    /// The header where every cookie goes everywhere, as is usual.
    everywhere: Option<HeaderValue>,
    /// The first instant at which something expires.
    expires: Nanos,
}

impl Jar {
    pub(super) fn new(host: &str, tls: bool) -> Self {
        Self { host: host.to_owned(), tls, kept: Vec::new(), everywhere: None, expires: Nanos::MAX }
    }

    /// The `Cookie` header for a request of this path, if there is any.
    pub(super) fn header(&mut self, path: &str, now: Nanos) -> Option<HeaderValue> {
        if self.kept.is_empty() {
            return None;
        }
        if now >= self.expires {
            self.kept.retain(|k| k.expires > now);
            self.rebuild();
        }
        match &self.everywhere {
            Some(header) => Some(header.clone()),
            None => self.join(|k| fits(&k.path, path)),
        }
    }

    /// Takes one `Set-Cookie` header of the answer to a request of this path.
    pub(super) fn take(&mut self, header: &HeaderValue, path: &str, now: Nanos) {
        let known = self.kept.iter_mut().find(|k| k.raw == *header);
        // A lifetime starts anew each time, but a second more or less is all the same.
        let fresh = |k: &Kept| k.expires == Nanos::MAX || now < k.taken + Nanos::from_secs(1);
        if header.len() > COOKIE_BYTES_MAX || known.as_ref().is_some_and(|k| fresh(k)) {
            return;
        }
        let Some(cookie) = header.to_str().ok().and_then(|text| Cookie::parse(text).ok()) else { return };
        if let Some(domain) = cookie.domain()
            && !belongs(domain, &self.host)
        {
            return;
        }
        let lives = lifetime(&cookie);
        let expires = lives.map_or(Nanos::MAX, |lives| now + lives);
        if let Some(known) = known
            && lives != Some(Nanos::ZERO)
        {
            known.expires = expires;
            known.taken = now;
            self.expires = self.kept.iter().map(|k| k.expires).min().unwrap_or(Nanos::MAX);
            return;
        }
        let path = match cookie.path() {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => folder(path).to_owned(),
        };
        self.kept.retain(|k| k.name != cookie.name() || k.path != path);
        if lives != Some(Nanos::ZERO) && self.kept.len() < COOKIES_MAX {
            let (name, value) = (cookie.name().to_owned(), cookie.value().to_owned());
            let secure = cookie.secure().unwrap_or(false);
            self.kept.push(Kept { name, value, path, secure, expires, taken: now, raw: header.clone() });
        }
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.expires = self.kept.iter().map(|k| k.expires).min().unwrap_or(Nanos::MAX);
        self.everywhere = match self.kept.iter().all(|k| k.path == "/") {
            true => self.join(|_| true),
            false => None,
        };
    }

    fn join(&self, goes: impl Fn(&Kept) -> bool) -> Option<HeaderValue> {
        let mut header = String::new();
        for kept in self.kept.iter().filter(|k| (self.tls || !k.secure) && goes(k)) {
            let separator = if header.is_empty() { "" } else { "; " };
            // Writing to a string doesn't fail.
            let _ = write!(header, "{separator}{}={}", kept.name, kept.value);
        }
        let mut header = HeaderValue::try_from(header).ok().filter(|h| !h.is_empty())?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// How long it lives from now: `None` for ever, zero when it is to be forgotten.
fn lifetime(cookie: &Cookie<'_>) -> Option<Nanos> {
    if let Some(age) = cookie.max_age() {
        return Some(u64::try_from(age.whole_seconds()).map_or(Nanos::ZERO, Nanos::from_secs));
    }
    match cookie.expires() {
        Some(Expiration::DateTime(at)) => {
            let left = at.unix_timestamp().saturating_sub(jiff::Timestamp::now().as_second());
            Some(u64::try_from(left).map_or(Nanos::ZERO, Nanos::from_secs))
        }
        _ => None,
    }
}

/// Whether a cookie of this domain is for this host.
fn belongs(domain: &str, host: &str) -> bool {
    let domain = domain.trim_start_matches('.');
    let rest = host.len().checked_sub(domain.len()).and_then(|at| host.split_at_checked(at));
    rest.is_some_and(|(before, end)| end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.')))
}

/// RFC 6265, 5.1.4: whether a cookie of this path goes with a request of that one.
fn fits(cookie: &str, request: &str) -> bool {
    let rest = request.strip_prefix(cookie);
    rest.is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// The default path of a cookie: that of the request up to its last slash.
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

/// Lines of an answer: each as a cookie that a jar is given, all of them as a body in each coding.
#[cfg(any(fuzzing, feature = "readers"))]
pub fn fuzz(bytes: &[u8]) {
    let mut jar = Jar::new("api.example", true);
    for (second, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(header) = HeaderValue::from_bytes(line) {
            jar.take(&header, "/a/b", Nanos::from_secs(second));
        }
        drop(jar.header("/a/b/c", Nanos::from_secs(second)));
    }
    assert!(jar.kept.len() <= COOKIES_MAX, "{} cookies", jar.kept.len());
    super::encoding::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(headers: &[&str]) -> Jar {
        let mut jar = Jar::new("api.example", true);
        for header in headers {
            jar.take(&HeaderValue::from_str(header).unwrap(), "/v1/tasks", Nanos::ZERO);
        }
        jar
    }

    fn sent(jar: &mut Jar, path: &str, now: Nanos) -> String {
        jar.header(path, now).map(|h| h.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_cookie_comes_back_until_it_is_forgotten() {
        let mut jar = jar(&["AWSALB=one; Path=/; Secure", "theme=dark; Path=/"]);
        assert_eq!(sent(&mut jar, "/any", Nanos::ZERO), "AWSALB=one; theme=dark");
        jar.take(&HeaderValue::from_static("AWSALB=two; Path=/"), "/", Nanos::ZERO);
        assert_eq!(sent(&mut jar, "/any", Nanos::ZERO), "theme=dark; AWSALB=two");
        jar.take(&HeaderValue::from_static("AWSALB=; Path=/; Max-Age=0"), "/", Nanos::ZERO);
        jar.take(&HeaderValue::from_static("theme=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "/", Nanos::ZERO);
        assert_eq!(sent(&mut jar, "/any", Nanos::ZERO), "");
    }

    #[test]
    fn paths_are_kept_to() {
        let mut jar = jar(&["a=1; Path=/v1", "b=2"]);
        assert_eq!(sent(&mut jar, "/v1/tasks", Nanos::ZERO), "a=1; b=2");
        assert_eq!(sent(&mut jar, "/v1", Nanos::ZERO), "a=1; b=2");
        assert_eq!(sent(&mut jar, "/v10", Nanos::ZERO), "");
    }

    #[test]
    fn lifetimes_end_and_are_renewed() {
        let header = HeaderValue::from_static("s=1; Path=/; Max-Age=10");
        let mut jar = jar(&[]);
        jar.take(&header, "/", Nanos::ZERO);
        jar.take(&header, "/", Nanos::from_secs(5));
        assert_eq!(sent(&mut jar, "/", Nanos::from_secs(14)), "s=1");
        assert_eq!(sent(&mut jar, "/", Nanos::from_secs(15)), "");
    }

    #[test]
    fn others_cookies_are_not_taken() {
        let mut taken =
            jar(&["a=1; Path=/; Domain=example", "b=2; Path=/; Domain=.evil.test", "c=3; Path=/; Domain=pi.example"]);
        assert_eq!(sent(&mut taken, "/", Nanos::ZERO), "a=1");
        let mut plain = Jar::new("api.example", false);
        plain.take(&HeaderValue::from_static("a=1; Path=/; Secure"), "/", Nanos::ZERO);
        assert_eq!(plain.header("/", Nanos::ZERO), None);
    }

    #[test]
    fn a_jar_is_bounded() {
        let many: Vec<String> = (0..200).map(|i| format!("c{i}={i}; Path=/")).collect();
        let mut jar = jar(&many.iter().map(String::as_str).collect::<Vec<_>>());
        jar.take(&HeaderValue::from_str(&format!("big={}", "x".repeat(5000))).unwrap(), "/", Nanos::ZERO);
        assert_eq!(jar.kept.len(), COOKIES_MAX);
    }
}

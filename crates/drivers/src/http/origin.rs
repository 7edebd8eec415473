//! Origins: scheme, host and port, in the forms that a request needs them in.

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use rustls_pki_types::ServerName;
use url::Url;

/// One server as URLs name it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `host` or `host:port`, as Host and `:authority` have it.
    authority: Authority,
    pub(super) host_header: HeaderValue,
    /// What its certificate must be for.
    pub(super) server_name: Option<ServerName<'static>>,
}

impl Origin {
    /// The origin of a URL.
    ///
    /// # Errors
    /// In words; the URL is not repeated, because it may carry credentials.
    pub(super) fn of(url: &Url) -> Result<Self, String> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("`{other}` is not HTTP: the URL must start with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with credentials in it isn't taken: use `token`".into());
        }
        let shown = url.host_str().filter(|h| !h.is_empty()).ok_or("the URL names no host")?;
        let host = shown.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or("the URL names no port")?;
        let authority = url.port().map_or_else(|| shown.to_owned(), |port| format!("{shown}:{port}"));
        let wrong = |what: &str| format!("`{authority}` can't be used as {what}");
        let parsed: Authority = authority.parse().map_err(|_| wrong("an authority"))?;
        let host_header = HeaderValue::from_str(&authority).map_err(|_| wrong("a Host header"))?;
        let server_name = match tls {
            true => Some(ServerName::try_from(host.clone()).map_err(|_| wrong("a certificate's name"))?),
            false => None,
        };
        Ok(Self { tls, host, port, authority: parsed, host_header, server_name })
    }

    /// `https://host:port`.
    pub(super) fn text(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// Whether both are the same server.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.tls, self.port, &self.host) == (other.tls, other.port, &other.host)
    }

    /// Writes into a request where it goes, as HTTP/1.1 (path, and a Host header) or HTTP/2 (whole
    /// URI, no Host header) want it. A Host header that is already there stays in force.
    pub(super) fn address<B>(&self, request: &mut http::Request<B>, http2: bool) {
        if http2 {
            let host = request.headers_mut().remove(http::header::HOST);
            let authority = host.and_then(|h| Authority::try_from(h.as_bytes()).ok());
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(if self.tls { Scheme::HTTPS } else { Scheme::HTTP });
            parts.authority = Some(authority.unwrap_or_else(|| self.authority.clone()));
            let path = request.uri().path_and_query().cloned();
            parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
            *request.version_mut() = http::Version::HTTP_2;
        } else {
            if request.uri().authority().is_some() {
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
            }
            let headers = request.headers_mut();
            if !headers.contains_key(http::header::HOST) {
                headers.insert(http::header::HOST, self.host_header.clone());
            }
            *request.version_mut() = http::Version::HTTP_11;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<Origin, String> {
        Origin::of(&Url::parse(text).unwrap())
    }

    #[test]
    fn an_origin_leaves_out_the_port_that_its_scheme_has_anyway() {
        assert_eq!(origin("https://api.example:443/v2").unwrap().text(), "https://api.example");
        assert_eq!(origin("http://[::1]:8080").unwrap().text(), "http://[::1]:8080");
        assert_eq!(origin("http://[::1]:8080").unwrap().host, "::1");
        assert!(origin("https://a.example").unwrap().is(&origin("https://a.example:443/x").unwrap()));
        assert!(!origin("https://a.example").unwrap().is(&origin("http://a.example").unwrap()));
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        let error = origin("https://user:geheim@api.example").unwrap_err();
        assert!(error.contains("token") && !error.contains("geheim"), "{error}");
        assert!(origin("ftp://api.example").is_err());
    }

    #[test]
    fn each_version_has_the_host_where_it_wants_it() {
        let origin = origin("https://api.example:8443").unwrap();
        let mut request = http::Request::builder().uri("/a?b=c").body(()).unwrap();
        origin.address(&mut request, false);
        assert_eq!(
            (request.uri().to_string().as_str(), &request.headers()["host"]),
            ("/a?b=c", &"api.example:8443".parse::<HeaderValue>().unwrap())
        );
        origin.address(&mut request, true);
        assert_eq!(request.uri(), "https://api.example:8443/a?b=c");
        assert!(request.headers().is_empty());
    }
}

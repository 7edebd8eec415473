//! Redirects: which request follows an answer that points elsewhere.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use url::Url;

use super::connection::Body;
use super::origin::Origin;
use crate::failure::Failure;
use slatest_core::target::Guard;

/// Whether the answer points elsewhere.
pub(super) fn is_redirect(head: &Parts) -> bool {
    matches!(
        head.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    ) && head.headers.contains_key(LOCATION)
}

/// Where the answer to `request` points, and what is asked there. Credentials stay with their
/// origin, and the guard is asked before anybody is.
///
/// # Errors
/// When the place is none, or not allowed.
pub(super) fn next(
    mut request: Request<Body>,
    origin: &Origin,
    head: &Parts,
    guard: &Guard,
) -> Result<(Origin, Request<Body>), Failure> {
    let nowhere = || Failure::rejected("redirect: no place that HTTP can reach");
    let location = head.headers.get(LOCATION).and_then(|l| l.to_str().ok()).ok_or_else(nowhere)?;
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let base = Url::parse(&format!("{}{path}", origin.text())).map_err(|_| nowhere())?;
    let url = base.join(location).map_err(|_| nowhere())?;
    let there = Origin::of(&url).map_err(|_| nowhere())?;
    guard.check(&there.host).map_err(|_| Failure::rejected("redirect: to a host that is not allowed"))?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    *request.uri_mut() = Uri::from(path.parse::<PathAndQuery>().map_err(|_| nowhere())?);
    let becomes_get = match head.status {
        StatusCode::SEE_OTHER => request.method() != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method() == Method::POST,
        _ => false,
    };
    if becomes_get {
        *request.method_mut() = Method::GET;
        *request.body_mut() = Full::new(Bytes::new());
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            request.headers_mut().remove(name);
        }
    }
    request.headers_mut().remove(COOKIE);
    if !there.is(origin) {
        for name in [HOST, AUTHORIZATION, PROXY_AUTHORIZATION] {
            request.headers_mut().remove(name);
        }
    }
    Ok((there, request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::target::Allow;

    fn follow(method: Method, status: u16, location: &str) -> Result<(Origin, Request<Body>), Failure> {
        let allow = Allow { hosts: vec!["*.example".into()], max_rate: None, max_users: None, drills: false };
        let origin = Origin::of(&Url::parse("https://api.example").unwrap()).unwrap();
        let request = Request::builder().method(method).uri("/v1/tasks?x=1").header("authorization", "Bearer geheim");
        let request = request.header("content-type", "application/json").body(Full::new("{}".into())).unwrap();
        let answer = http::Response::builder().status(status).header(LOCATION, location).body(()).unwrap();
        next(request, &origin, &answer.into_parts().0, &Guard::new(&allow).unwrap())
    }

    #[test]
    fn a_relative_location_stays_with_its_origin() {
        let (origin, request) = follow(Method::POST, 307, "other?y=2").unwrap();
        assert_eq!(
            (origin.text().as_str(), request.uri().to_string().as_str()),
            ("https://api.example", "/v1/other?y=2")
        );
        assert_eq!(request.method(), Method::POST);
        assert!(request.headers().contains_key(AUTHORIZATION) && request.headers().contains_key(CONTENT_TYPE));
    }

    #[test]
    fn a_post_that_was_taken_is_followed_by_a_get() {
        for status in [301, 302, 303] {
            let (_, request) = follow(Method::POST, status, "/done").unwrap();
            assert_eq!(request.method(), Method::GET);
            assert!(!request.headers().contains_key(CONTENT_TYPE));
        }
        assert_eq!(follow(Method::PUT, 302, "/done").unwrap().1.method(), Method::PUT);
        assert_eq!(follow(Method::HEAD, 303, "/done").unwrap().1.method(), Method::HEAD);
    }

    #[test]
    fn another_origin_gets_no_credentials() {
        for location in ["https://login.example/", "http://api.example/", "https://api.example:8443/"] {
            let (_, request) = follow(Method::GET, 302, location).unwrap();
            assert!(!request.headers().contains_key(AUTHORIZATION), "{location}");
        }
    }

    #[test]
    fn a_host_that_is_not_allowed_is_not_followed() {
        let kind = |location| follow(Method::GET, 302, location).unwrap_err().kind;
        assert_eq!(kind("https://evil.test/"), "redirect: to a host that is not allowed");
        assert_eq!(kind("ftp://files.example/"), "redirect: no place that HTTP can reach");
    }
}

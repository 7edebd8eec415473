//! The gateway: health, login, who am I.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::Cookie;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Body, Refusal, check_text};

const COOKIE: &str = "platform_session";
/// Sessions last a day on the platform.
const SESSION_SECS: u32 = 86_400;

pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

#[derive(Deserialize)]
pub struct Login {
    user: String,
}

pub async fn login(Body(Login { user }): Body<Login>) -> Result<Response, Refusal> {
    check_text("user", &user)?;
    let token = token_of(&user);
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={SESSION_SECS}; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "token": token, "user": user }))).into_response())
}

pub async fn me(headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let user = presented(&headers).and_then(user_of).ok_or_else(Refusal::unauthorized)?;
    Ok(Json(json!({ "user": user })))
}

/// The token in the authorization header, else in the cookie.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    bearer.or_else(|| {
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|text| {
            Cookie::split_parse(text).flatten().find(|c| c.name() == COOKIE).and_then(|c| c.value_raw())
        })
    })
}

/// A token carries its user and a check sum: any process of the platform can read it, and one that
/// was made up is told from one that was given. It proves nothing: a sandbox has no secrets.
fn token_of(user: &str) -> String {
    format!("{}.{:016x}", URL_SAFE_NO_PAD.encode(user), check_sum(user))
}

fn user_of(token: &str) -> Option<String> {
    let (user, sum) = token.split_once('.')?;
    let user = String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?;
    (u64::from_str_radix(sum, 16) == Ok(check_sum(&user))).then_some(user)
}

/// FNV-1a: the same in every process and version.
pub fn check_sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_their_user_and_forged_ones_do_not() {
        let token = token_of("clinician-7");
        assert_eq!(user_of(&token).as_deref(), Some("clinician-7"));
        assert_eq!(user_of(&token.replace('.', "x.")), None);
        assert_eq!(user_of("nonsense"), None);
    }
}

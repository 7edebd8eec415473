use std::os::unix::fs::PermissionsExt as _;

use jiff::{SignedDuration, Timestamp};

use super::name::certified_name;
use super::*;

fn in_an_hour() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

#[test]
fn a_token_survives_being_printed_and_shows_itself_nowhere_else() {
    let mut authority = RunAuthority::new().unwrap();
    let token = authority.issue_token(in_an_hour());
    let printed = token.to_string();
    let read: Token = format!(" {printed}\n").parse().unwrap();
    assert_eq!(read.secret(), token.secret());
    assert_eq!(read.fingerprint(), &fingerprint(authority.ca()));
    assert_eq!(format!("{token:?}"), "Token(…)");
    assert!(!format!("{authority:?}").contains(token.secret()));
}

#[test]
fn what_is_no_token_is_refused_without_being_quoted() {
    let token = RunAuthority::new().unwrap().issue_token(in_an_hour()).to_string();
    let cut = &token[..token.len() - 1];
    let parts: Vec<&str> = token.split('.').collect();
    for (text, words) in [
        ("", "no token"),
        ("slatest2.a.b", "no token"),
        (format!("{token}.more").as_str(), "no token"),
        (cut, "fingerprint is cut short"),
        (format!("slatest1.{}.{}", &parts[1][2..], parts[2]).as_str(), "secret is cut short"),
        (format!("slatest1.{}.{}", "!".repeat(22), parts[2]).as_str(), "secret is cut short"),
    ] {
        let error = text.parse::<Token>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains(parts[1]), "{error}");
    }
}

#[test]
fn a_secret_is_good_until_its_end_and_no_other_is() {
    let mut authority = RunAuthority::new().unwrap();
    let end = in_an_hour();
    assert_eq!(authority.check_secret("", Timestamp::now()), Err(TokenRefusal::Wrong));
    let first = authority.issue_token(end);
    assert_eq!(authority.check_secret(first.secret(), Timestamp::now()), Ok(()));
    assert_eq!(authority.check_secret(first.secret(), end), Err(TokenRefusal::Expired(end)));
    assert_eq!(authority.check_secret(&first.secret()[1..], Timestamp::now()), Err(TokenRefusal::Wrong));
    let second = authority.issue_token(end);
    assert_eq!(authority.check_secret(first.secret(), Timestamp::now()), Err(TokenRefusal::Wrong));
    assert_eq!(authority.check_secret(second.secret(), Timestamp::now()), Ok(()));
}

#[test]
fn a_certificate_carries_the_name_that_was_granted_not_the_one_that_was_asked_for() {
    let authority = RunAuthority::new().unwrap();
    let request = AgentKey::generate("asked").unwrap().request().unwrap();
    let certificate = authority.certify("granted", &request).unwrap();
    assert_eq!(certified_name(&certificate).as_deref(), Some("granted"));
    let error = AgentKey::generate("asked").unwrap().with(authority.ca().clone(), certificate.to_vec()).unwrap_err();
    assert!(error.to_string().contains("another agent's"), "{error}");
}

#[test]
fn requests_that_ask_for_more_get_no_more() {
    let authority = RunAuthority::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([COORDINATOR_NAME.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let request = params.serialize_request(&key).unwrap();
    let der = authority.certify("a1", request.der()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!certificate.is_ca());
    assert!(certificate.subject_alternative_name().unwrap().is_none());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
}

#[test]
fn requests_that_are_none_are_refused() {
    let authority = RunAuthority::new().unwrap();
    let request = AgentKey::generate("a1").unwrap().request().unwrap();
    let mut forged = request.clone();
    *forged.last_mut().unwrap() ^= 1;
    for wrong in [&[][..], &request[..20], &forged, &[0x30; 5_000]] {
        assert!(matches!(authority.certify("a1", wrong), Err(IdentityError::Request(_))));
    }
    for name in ["", "two words", "a/b", "ä", &"a".repeat(129)] {
        assert!(matches!(authority.certify(name, &request), Err(IdentityError::Name)), "{name}");
        assert!(AgentKey::generate(name).is_err(), "{name}");
    }
}

#[test]
fn an_authority_that_was_saved_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("secrets");
    let mut authority = RunAuthority::new().unwrap();
    let token = authority.issue_token(in_an_hour());
    authority.save(&folder).unwrap();
    let loaded = RunAuthority::load(&folder).unwrap();
    assert_eq!(loaded.ca(), authority.ca());
    assert_eq!(loaded.check_secret(token.secret(), Timestamp::now()), Ok(()));
    let identity = loaded.identity("a1").unwrap();
    let (_, ca) = x509_parser::parse_x509_certificate(authority.ca()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&identity.certificate).unwrap();
    certificate.verify_signature(Some(ca.public_key())).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains(token.secret()), "{:?} has the secret itself", entry.path());
    }
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn files_of_an_agent_come_back_and_broken_ones_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = RunAuthority::new().unwrap();
    authority.identity("a1").unwrap().write(folder.path()).unwrap();
    let [ca, cert, key] = ["ca.pem", "agent.pem", "agent.key"].map(|name| folder.path().join(name));
    let read = AgentIdentity::read(&ca, &cert, &key).unwrap();
    assert_eq!((read.name(), &read.ca), ("a1", authority.ca()));
    assert_eq!(format!("{read:?}"), "AgentIdentity(a1)");
    // The authority's certificate in place of the agent's.
    let error = AgentIdentity::read(&ca, &ca, &key).unwrap_err().to_string();
    assert!(error.contains("ca.pem") && error.contains("common name"), "{error}");
    let error = AgentIdentity::read(&ca, &cert, &cert).unwrap_err().to_string();
    assert!(error.contains("agent.pem") && error.contains("no private key"), "{error}");
    std::fs::remove_file(&key).unwrap();
    let error = AgentIdentity::read(&ca, &cert, &key).unwrap_err().to_string();
    assert!(error.contains("agent.key"), "{error}");
}

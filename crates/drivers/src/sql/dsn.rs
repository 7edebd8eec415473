//! PostgreSQL DSNs, with several hosts as libpq takes them.

use std::fmt;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// Parameters of a DSN that mean something here; others (of other clients) are left out.
const KNOWN: [&str; 10] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "password", "application_name"];
/// Most hosts of one DSN.
const HOSTS_MAX: usize = 16;

/// Which of several hosts a connection is wanted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Any that answers.
    #[default]
    Any,
    /// One that takes writes.
    Primary,
    /// One in recovery.
    Standby,
    /// One in recovery; where there is none, any that answers.
    PreferStandby,
}

/// A DSN taken apart.
#[derive(Clone)]
pub struct Dsn {
    /// One per host, in the order in which they are tried.
    pub hosts: Vec<PgConnectOptions>,
    /// Which of them is wanted.
    pub wanted: Wanted,
    /// What must not be shown.
    pub secrets: Vec<String>,
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dsn").field("hosts", &self.addresses()).field("wanted", &self.wanted).finish()
    }
}

impl Dsn {
    /// Takes a DSN apart.
    ///
    /// # Errors
    /// In words that hold nothing of the DSN but parameter names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .trim()
            .strip_prefix("postgres://")
            .or_else(|| text.trim().strip_prefix("postgresql://"))
            .ok_or("the DSN must start with postgres:// (keyword form isn't read)")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let mut wanted = Wanted::Any;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "target_session_attrs" {
                wanted = match value {
                    "any" => Wanted::Any,
                    "prefer-standby" => Wanted::PreferStandby,
                    "read-write" | "primary" => Wanted::Primary,
                    "read-only" | "standby" => Wanted::Standby,
                    _ => {
                        return Err(
                            "target_session_attrs must be any, read-write, primary, read-only, standby or prefer-standby"
                                .into()
                        );
                    }
                };
            } else if KNOWN.contains(&name) {
                kept.push(pair);
            }
        }
        let names_host = kept.iter().any(|pair| pair.starts_with("host="));
        if hosts.is_empty() && !names_host {
            return Err("the DSN names no host: postgres://user:password@host:5432/database".into());
        }
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        let query = kept.join("&");
        let hosts: Vec<PgConnectOptions> = hosts
            .split(',')
            .map(|host| {
                let one = format!("postgres://{login}{host}{path}?{query}");
                // The parser's own words could repeat a part of the DSN.
                one.parse::<PgConnectOptions>().map_err(|_| {
                    "the DSN is malformed: write postgres://user:password@host:5432/database and percent-encode what \
                     isn't a letter or digit in the password"
                        .to_owned()
                })
            })
            .collect::<Result<_, _>>()?;
        if hosts.len() > HOSTS_MAX {
            return Err(format!("the DSN names {} hosts; at most {HOSTS_MAX} are tried", hosts.len()));
        }
        let mut secrets = Vec::new();
        if let Some((_, password)) = login.trim_end_matches('@').split_once(':') {
            secrets.push(password.to_owned());
        }
        secrets.extend(kept.iter().filter_map(|pair| pair.strip_prefix("password=")).map(str::to_owned));
        let decoded: Vec<String> = secrets.iter().filter_map(|s| decode(s)).collect();
        secrets.extend(decoded);
        secrets.retain(|s| !s.is_empty());
        let hosts = hosts
            .into_iter()
            .map(|host| {
                let host = host.disable_statement_logging().extra_float_digits(None);
                let name = host.get_application_name().unwrap_or("slatest").to_owned();
                host.application_name(&name)
            })
            .collect();
        Ok(Self { hosts, wanted, secrets })
    }

    /// Where it leads, without credentials: `host:5432,host:5433/database`.
    pub fn addresses(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(address).collect();
        let database = self.hosts.first().and_then(|h| h.get_database()).unwrap_or_default();
        format!("{}/{database}", hosts.join(","))
    }
}

/// `host:port` of one host.
pub fn address(host: &PgConnectOptions) -> String {
    match host.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", host.get_host(), host.get_port()),
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_of_a_dsn_is_read() {
        let text = "postgres://u:p%40ss@h1:5433,h2,[::1]:5434/db?target_session_attrs=read-write&pgbouncer=true";
        let dsn = Dsn::parse(text).unwrap();
        assert_eq!(dsn.addresses(), "h1:5433,h2:5432,[::1]:5434/db");
        assert_eq!(dsn.wanted, Wanted::Primary);
        let replicas = Dsn::parse("postgres://h1,h2/db?target_session_attrs=prefer-standby").unwrap();
        assert_eq!(replicas.wanted, Wanted::PreferStandby);
        assert_eq!(dsn.secrets, ["p%40ss", "p@ss"]);
        assert_eq!(dsn.hosts[0].get_username(), "u");
        assert!(!format!("{dsn:?}").contains("ss"), "{dsn:?}");
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for text in [
            "host=h user=u password=secret",
            "mysql://u:secret@h/db",
            "postgres://u:secret@/db",
            "postgres://u:secret@h:notaport/db",
            "postgres://u:secret@h/db?target_session_attrs=secret",
            "postgres://u:sec/ret@h/db",
        ] {
            let error = Dsn::parse(text).map(|d| d.addresses()).expect_err(text);
            assert!(!error.contains("secret") && !error.contains("sec/"), "{error}");
        }
    }
}

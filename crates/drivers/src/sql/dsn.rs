//! PostgreSQL DSNs as libpq takes them, with several hosts. What isn't honoured is refused by name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Most hosts of one DSN.
const HOSTS_MAX: usize = 16;
/// Most bytes of a DSN.
const BYTES_MAX: usize = 16 * 1024;
/// The port where the DSN names none.
const PORT_DEFAULT: u16 = 5432;

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

/// What `sslmode` says, with libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it, its certificate not verified.
    Prefer,
    /// TLS, its certificate not verified.
    Require,
    /// TLS, with a certificate of a known authority, whatever its name.
    VerifyCa,
    /// TLS, with a certificate of a known authority for this host.
    VerifyFull,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host without brackets, and its port.
    Tcp(String, u16),
    /// A Unix socket.
    Socket(PathBuf),
}

impl Place {
    /// Whether nothing leaves this machine on the way there.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Tcp(host, _) => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// A DSN taken apart.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Dsn {
    /// In the order in which they are tried; at least one.
    pub places: Vec<Place>,
    /// Which of them is wanted.
    pub wanted: Wanted,
    /// Who signs in.
    pub user: String,
    /// With what.
    pub password: Option<String>,
    /// The database; the server takes the user's name where there is none.
    pub database: Option<String>,
    /// The name that the server shows for the session.
    pub application_name: Option<String>,
    /// Settings of the session, as the server's command line takes them: `-c search_path=other`.
    pub options: Option<String>,
    /// How the connection is secured, where the DSN says so.
    pub sslmode: Option<SslMode>,
    /// File with the certificates of authorities.
    pub sslrootcert: Option<String>,
    /// File with the client's certificate.
    pub sslcert: Option<String>,
    /// File with the client's key.
    pub sslkey: Option<String>,
    /// Longest wait for a connection to one host.
    pub connect_timeout: Option<Duration>,
    /// What must not be shown.
    pub secrets: Vec<String>,
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dsn").field("hosts", &self.addresses()).field("wanted", &self.wanted).finish()
    }
}

/// Why a DSN can't be used; in words that hold nothing of it but the names of parameters and hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// It isn't a URI of PostgreSQL.
    #[error("the DSN must start with postgres:// (keyword form isn't read)")]
    Scheme,
    /// It is longer than any DSN.
    #[error("the DSN is longer than {BYTES_MAX} bytes")]
    Long,
    /// It can't be taken apart.
    #[error(
        "the DSN is malformed ({0}): write postgres://user:password@host:5432/database and percent-encode what isn't a \
         letter or digit in the password"
    )]
    Malformed(&'static str),
    /// It says nothing of something that it must say.
    #[error("the DSN names no {0}: postgres://user:password@host:5432/database")]
    Missing(&'static str),
    /// More hosts than are tried.
    #[error("the DSN names {0} hosts; at most {HOSTS_MAX} are tried")]
    Hosts(usize),
    /// A parameter that nothing here honours.
    #[error("the DSN's parameter `{name}` isn't known, and leaving it out would change what it asks for{help}")]
    Unknown {
        /// As it is written, as far as it is a name.
        name: String,
        /// What to write instead.
        help: &'static str,
    },
    /// A parameter that stands there twice.
    #[error("the DSN says `{0}` twice")]
    Twice(String),
    /// A parameter with a value that isn't honoured.
    #[error("the DSN's parameter `{name}` must be {allowed}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// The values that it takes.
        allowed: &'static str,
    },
}

impl Dsn {
    /// Takes a DSN apart.
    ///
    /// # Errors
    /// When it is malformed, or says what isn't honoured.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err(DsnError::Long);
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or(DsnError::Scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if tail.contains('#') {
            return Err(DsnError::Malformed("# must be written %23"));
        }
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.contains('/') {
            return Err(DsnError::Malformed("its path holds more than the database"));
        }
        let filled = |text: &str| (!text.is_empty()).then(|| decode(text)).transpose();
        let mut dsn = Self {
            user: decode(user)?,
            password: password.map(decode).transpose()?,
            database: filled(path)?,
            ..Self::default()
        };
        if let Some(password) = password {
            dsn.secrets.push(password.to_owned());
        }
        let mut named = Named::default();
        for (name, value) in pairs(query)? {
            if name == "password" {
                dsn.secrets.push(value.clone());
            }
            dsn.set(&name, value, &mut named)?;
        }
        dsn.places = places(hosts, &named)?;
        dsn.secrets.extend(dsn.password.clone());
        dsn.secrets.retain(|secret| !secret.is_empty());
        dsn.secrets.sort();
        dsn.secrets.dedup();
        if dsn.user.is_empty() {
            return Err(DsnError::Missing("user"));
        }
        let all = [Some(&dsn.user), dsn.password.as_ref(), dsn.database.as_ref(), dsn.options.as_ref()];
        if all.into_iter().flatten().chain(&dsn.application_name).any(|text| text.contains('\0')) {
            return Err(DsnError::Malformed("%00 stands in it"));
        }
        Ok(dsn)
    }

    fn set(&mut self, name: &str, value: String, named: &mut Named) -> Result<(), DsnError> {
        match name {
            "user" => self.user = value,
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "host" => named.hosts = Some(value),
            "port" => named.ports = Some(value),
            "application_name" => self.application_name = Some(value),
            "fallback_application_name" => drop(self.application_name.get_or_insert(value)),
            "options" => self.options = Some(value),
            "sslrootcert" => self.sslrootcert = Some(value),
            "sslcert" => self.sslcert = Some(value),
            "sslkey" => self.sslkey = Some(value),
            "sslmode" => self.sslmode = Some(sslmode(&value)?),
            "target_session_attrs" => self.wanted = wanted(&value)?,
            "connect_timeout" => {
                let allowed = "a number of seconds; 0 is without a limit of its own";
                let error = DsnError::Value { name: "connect_timeout", allowed };
                let seconds: u32 = value.parse().map_err(|_| error)?;
                self.connect_timeout = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            }
            // These ask for what is done anyway; their other values ask for what can't be done.
            "client_encoding" => only(name, &value, &["UTF8", "utf8", "UTF-8", "utf-8", "auto"])?,
            "channel_binding" => only(name, &value, &["prefer", "disable"])?,
            "gssencmode" => only(name, &value, &["prefer", "disable"])?,
            "sslnegotiation" => only(name, &value, &["postgres"])?,
            "sslsni" => only(name, &value, &["1"])?,
            "sslcompression" => only(name, &value, &["0"])?,
            "load_balance_hosts" => only(name, &value, &["disable"])?,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Where it leads, without credentials: `host:5432,host:5433/database`.
    pub fn addresses(&self) -> String {
        let places: Vec<String> = self.places.iter().map(ToString::to_string).collect();
        format!("{}/{}", places.join(","), self.database.as_deref().unwrap_or_default())
    }
}

/// Hosts and ports that stand among the parameters.
#[derive(Default)]
struct Named {
    hosts: Option<String>,
    ports: Option<String>,
}

fn pairs(query: &str) -> Result<BTreeMap<String, String>, DsnError> {
    let mut pairs = BTreeMap::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(DsnError::Malformed("a parameter has no value"))?;
        let (name, value) = (decode(name)?, decode(value)?);
        if pairs.contains_key(&name) {
            return Err(DsnError::Twice(shown(&name)));
        }
        pairs.insert(name, value);
    }
    Ok(pairs)
}

fn places(written: &str, named: &Named) -> Result<Vec<Place>, DsnError> {
    let mut ports: Vec<Option<&str>> = Vec::new();
    let mut hosts: Vec<String> = Vec::new();
    match &named.hosts {
        Some(named) if written.is_empty() => {
            hosts.extend(named.split(',').map(str::to_owned));
            ports.resize(hosts.len(), None);
        }
        Some(_) => return Err(DsnError::Twice("host".into())),
        None => {
            for one in written.split(',') {
                let bracket = one.rfind(']').map_or(0, |at| at + 1);
                let (host, port) = match one[bracket..].rfind(':') {
                    Some(at) => (&one[..bracket + at], Some(&one[bracket + at + 1..])),
                    None => (one, None),
                };
                let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
                hosts.push(decode(host)?);
                ports.push(port.filter(|port| !port.is_empty()));
            }
        }
    }
    if hosts.iter().any(String::is_empty) {
        return Err(DsnError::Missing("host"));
    }
    if hosts.len() > HOSTS_MAX {
        return Err(DsnError::Hosts(hosts.len()));
    }
    if let Some(named) = &named.ports {
        if ports.iter().any(Option::is_some) {
            return Err(DsnError::Twice("port".into()));
        }
        let several: Vec<&str> = named.split(',').collect();
        if several.len() != 1 && several.len() != hosts.len() {
            return Err(DsnError::Malformed("it has as many ports as hosts, or one"));
        }
        let all = several.iter().cycle().take(hosts.len());
        ports = all.map(|port| (!port.is_empty()).then_some(*port)).collect();
    }
    hosts.into_iter().zip(ports).map(|(host, port)| place(host, port)).collect()
}

fn place(host: String, port: Option<&str>) -> Result<Place, DsnError> {
    let port = port.map_or(Ok(PORT_DEFAULT), str::parse);
    let port = port.ok().filter(|port| *port > 0).ok_or(DsnError::Malformed("a port is a number from 1 to 65535"))?;
    if host.starts_with('/') {
        return Ok(Place::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}"))));
    }
    if host.chars().any(|c| c.is_control() || c.is_whitespace() || "/@[]\\".contains(c)) {
        return Err(DsnError::Malformed("a host holds what no name can"));
    }
    Ok(Place::Tcp(host, port))
}

fn sslmode(value: &str) -> Result<SslMode, DsnError> {
    Ok(match value {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            let allowed = "disable, prefer, require, verify-ca or verify-full";
            return Err(DsnError::Value { name: "sslmode", allowed });
        }
    })
}

fn wanted(value: &str) -> Result<Wanted, DsnError> {
    Ok(match value {
        "any" => Wanted::Any,
        "prefer-standby" => Wanted::PreferStandby,
        "read-write" | "primary" => Wanted::Primary,
        "read-only" | "standby" => Wanted::Standby,
        _ => {
            let allowed = "any, read-write, primary, read-only, standby or prefer-standby";
            return Err(DsnError::Value { name: "target_session_attrs", allowed });
        }
    })
}

fn only(name: &str, value: &str, allowed: &[&str]) -> Result<(), DsnError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let (name, allowed) = match name {
        "client_encoding" => ("client_encoding", "UTF8: answers are read as that"),
        "channel_binding" => ("channel_binding", "prefer or disable: binding to the TLS channel isn't supported"),
        "gssencmode" => ("gssencmode", "prefer or disable: GSSAPI isn't supported"),
        "sslnegotiation" => ("sslnegotiation", "postgres: TLS without asking first isn't supported"),
        "sslsni" => ("sslsni", "1: the server is always told which name is wanted"),
        "sslcompression" => ("sslcompression", "0: TLS isn't compressed"),
        _ => ("load_balance_hosts", "disable: hosts are tried in their order"),
    };
    Err(DsnError::Value { name, allowed })
}

fn unknown(name: &str) -> DsnError {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let help = match plain.as_str() {
        "sslmode" | "ssl" | "tls" | "usessl" => ": write sslmode=…",
        "sslrootcert" | "sslca" | "sslaccept" => ": write sslrootcert=…, or `ca` of the endpoint",
        "searchpath" | "schema" | "currentschema" => ": write options=-c%20search_path%3D…",
        "statementtimeout" => ": write options=-c%20statement_timeout%3D…",
        "pgbouncer" | "preparethreshold" | "statementcachecapacity" | "statementcachemode" => {
            ": write `prepared_statements: false` in the endpoint"
        }
        "applicationname" => ": write application_name=…",
        "connectionlimit" | "poolmaxconns" | "maxpoolsize" => ": write `settings: { connections: … }` in the workload",
        "connecttimeout" => ": write connect_timeout=…",
        _ => "; settings of the session go into options=-c%20name%3Dvalue",
    };
    DsnError::Unknown { name: shown(name), help }
}

/// A name as far as it can be one: what looks different may be a part of the password.
fn shown(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.len() <= 40 && !name.is_empty() && name.chars().all(fits) { name.to_owned() } else { "…".to_owned() }
}

fn decode(text: &str) -> Result<String, DsnError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
            let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                return Err(DsnError::Malformed("% isn't followed by two hexadecimal digits"));
            };
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| DsnError::Malformed("it isn't UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_of_a_dsn_is_read() {
        let text = "postgres://u:p%40ss@h1:5433,h2,[::1]:5434/db?target_session_attrs=read-write";
        let dsn = Dsn::parse(text).unwrap();
        assert_eq!(dsn.addresses(), "h1:5433,h2:5432,[::1]:5434/db");
        assert_eq!(dsn.wanted, Wanted::Primary);
        assert_eq!(dsn.secrets, ["p%40ss", "p@ss"]);
        assert_eq!((dsn.user.as_str(), dsn.password.as_deref()), ("u", Some("p@ss")));
        assert!(!format!("{dsn:?}").contains("ss"), "{dsn:?}");
        let replicas = Dsn::parse("postgres://u@h1,h2/db?target_session_attrs=prefer-standby").unwrap();
        assert_eq!(replicas.wanted, Wanted::PreferStandby);
    }

    #[test]
    fn parameters_are_honoured() {
        let text = "postgresql:///db?host=/run/postgresql&port=5433&user=u&password=p%20w&options=-c%20search_path%3Dx\
                    &sslmode=verify-ca&application_name=a&connect_timeout=3";
        let dsn = Dsn::parse(text).unwrap();
        assert_eq!(dsn.places, [Place::Socket("/run/postgresql/.s.PGSQL.5433".into())]);
        assert_eq!((dsn.user.as_str(), dsn.password.as_deref()), ("u", Some("p w")));
        assert_eq!(dsn.options.as_deref(), Some("-c search_path=x"));
        assert_eq!(dsn.sslmode, Some(SslMode::VerifyCa));
        assert_eq!(dsn.connect_timeout, Some(Duration::from_secs(3)));
        let encoded = Dsn::parse("postgres://u@%2Frun%2Fpg/db").unwrap();
        assert_eq!(encoded.places, [Place::Socket("/run/pg/.s.PGSQL.5432".into())]);
    }

    #[test]
    fn what_is_not_honoured_is_refused_by_name() {
        for (query, words) in [
            ("ssl-mode=verify-full", "`ssl-mode`"),
            ("SSLMODE=verify-full", "`SSLMODE`"),
            ("channel_binding=require", "`channel_binding`"),
            ("search_path=other", "options=-c%20search_path"),
            ("pgbouncer=true", "prepared_statements: false"),
            ("sslmode=allow", "`sslmode`"),
            ("sslmode=VERIFY-FULL", "`sslmode`"),
            ("sslmode=", "`sslmode`"),
            ("sslmode=disable&sslmode=verify-full", "twice"),
            ("sslcrl=x", "`sslcrl`"),
            ("ssl_min_protocol_version=TLSv1.3", "`ssl_min_protocol_version`"),
            ("require_auth=scram-sha-256", "`require_auth`"),
            ("gssencmode=require", "`gssencmode`"),
            ("statement_timeout=200", "options=-c%20statement_timeout"),
            ("keepalives=0", "`keepalives`"),
            ("application_name", "no value"),
            ("passfile=x", "`passfile`"),
            ("service=x", "`service`"),
        ] {
            let error = Dsn::parse(&format!("postgres://u:p@h/db?{query}")).expect_err(query).to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
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
            "postgres://u:sec?ret@h/db",
            "postgres://u:sec#ret@h/db",
            "postgres://:secret@h/db",
            "postgres://u:%zzsecret@h/db",
        ] {
            let error = Dsn::parse(text).map(|d| d.addresses()).expect_err(text).to_string();
            assert!(!error.contains("secret") && !error.contains("sec/") && !error.contains("ret@"), "{error}");
        }
    }
}

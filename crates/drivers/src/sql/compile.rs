//! From a workload file to what runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use secrecy::ExposeSecret as _;
use tokio_rustls::TlsConnector;

use super::PostgresEndpoint;
use super::dsn::{Dsn, Place, SslMode};
use super::file::{File, Param, Role, SqlCheck, SqlLedger, SqlRequest};
use super::plan::{Action, Plan};
use super::postgres::{Host, Login, Tls};
use super::read_back::Table;
use super::run::Script;
use super::server::{Postgres, Server, Sqlite};
use super::statement::Statement;
use crate::dial::Dial;
use crate::identity::Identity;
use crate::workload::{Captures, LedgerRead, OperationSpec, Template};
use crate::{CompileContext, Endpoint, Operation, Outline, TIMEOUT_DEFAULT, outline};
use slatest_core::model::{Nanos, Problems};
use slatest_core::source::Located;
use slatest_core::target::{Secret, TlsFiles, Verification, client_config_verifying};

/// Names of the parts of an operation's time, in the order of `session`'s indices.
pub const TIMINGS: [&str; 2] = ["pool_wait", "query"];
/// Most connections of a scenario to one server.
const CONNECTIONS_MAX: u64 = 10_000;
/// Connections of a scenario to one server when nothing is said.
const CONNECTIONS_DEFAULT: u64 = 20;
/// Most bytes of one answer: when nothing is said, and the bounds of what can be said.
const ANSWER_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;
const ANSWER_BYTES: std::ops::RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;
/// Longest that a SQLite statement waits for another's lock.
const BUSY_TIMEOUT_MAX: Nanos = Nanos::from_secs(5);

/// Compiles a workload file.
///
/// # Errors
/// Every mistake in it and in its endpoint.
pub fn compile(context: &CompileContext<'_>) -> Result<Plan, Problems> {
    let file: File = context.source.parse()?;
    let outline = outline(context, &file)?;
    let mut problems = Problems::default();
    let mut compiler = Compiler { context, outline: &outline, scripts: Vec::new() };
    let mut operations = Vec::with_capacity(file.operations.len());
    let mut actions = Vec::with_capacity(file.operations.len());
    let mut ledger_tables = BTreeSet::new();
    for (index, spec) in file.operations.iter().enumerate() {
        let key = format!("operations[{index}]");
        let operation = Operation::of(spec, &TIMINGS, &[]);
        operations.push(operation);
        let captures = Captures::compile(context.source, &spec.capture, &format!("{key}.capture"));
        let check = spec.check.clone().unwrap_or_default();
        if let Some(ledger) = &spec.ledger.0 {
            ledger_tables.extend(problems.take(ledger_table(context, spec, ledger, &key)));
        }
        let action = problems.take(compiler.steps(&spec.request, &key));
        let captures = problems.take(captures.map_err(Problems::from));
        let bounds = problems.take(bounds(context, &check, &key));
        if let (Some((steps, role)), Some(captures), Some(())) = (action, captures, bounds) {
            actions.push(Action {
                steps,
                transaction: !spec.request.transaction.is_empty(),
                role,
                rows: check.rows.map(|b| b.value),
                affected: check.affected.map(|b| b.value),
                captures,
            });
        }
    }
    let connections = file.settings.as_ref().and_then(|s| s.connections.as_ref());
    if let Some(connections) = connections
        && !(1..=CONNECTIONS_MAX).contains(&connections.value)
    {
        let message = format!("a scenario has from 1 to {CONNECTIONS_MAX} connections, not {connections}");
        problems.0.push(context.source.problem_at(connections, "settings.connections", message));
    }
    let answer_bytes_max = file.settings.as_ref().and_then(|s| s.answer_bytes_max.as_ref());
    if let Some(bytes) = answer_bytes_max
        && !ANSWER_BYTES.contains(&bytes.value)
    {
        let message = format!("an answer may have from {} to {} bytes", ANSWER_BYTES.start(), ANSWER_BYTES.end());
        problems.0.push(context.source.problem_at(bytes, "settings.answer_bytes_max", message));
    }
    let answer_bytes_max = answer_bytes_max.map_or(ANSWER_BYTES_DEFAULT, |bytes| bytes.value);
    let dial = Arc::new(Dial::new(context.guard.clone()));
    let shortest = operations.iter().map(|o| o.timeout).min().unwrap_or(TIMEOUT_DEFAULT);
    let servers = problems.take(servers(context, &dial, answer_bytes_max, shortest));
    let scripts = compiler.scripts.into();
    let default = context.sessions.unwrap_or(CONNECTIONS_DEFAULT).clamp(1, CONNECTIONS_DEFAULT);
    let connections = connections.map_or(default, |c| c.value);
    match servers {
        Some((primary, replicas)) => problems.or(Plan {
            operations,
            actions,
            flows: outline.flows,
            data: outline.data,
            scripts,
            primary: Arc::new(primary),
            replicas: replicas.into_iter().map(Arc::new).collect(),
            ledger_tables: ledger_tables.into_iter().collect(),
            connections: usize::try_from(connections).unwrap_or(1),
            dial,
            seed: context.seed,
            endpoint: context.endpoint_name.to_owned(),
            identity: Identity::of(context),
        }),
        None => Err(problems),
    }
}

/// Statements of an action: index of the script, templates of its values.
type Steps = Vec<(usize, Vec<Template>)>;

struct Compiler<'a> {
    context: &'a CompileContext<'a>,
    outline: &'a Outline,
    scripts: Vec<Script>,
}

impl Compiler<'_> {
    fn steps(&mut self, request: &SqlRequest, key: &str) -> Result<(Steps, Role), Problems> {
        let mut problems = Problems::default();
        let mut steps = Vec::new();
        match (&request.query, request.transaction.is_empty()) {
            (Some(query), true) => {
                let step = self.step(query, &request.params, &format!("{key}.request"));
                steps.extend(problems.take(step));
            }
            (None, false) => {
                if let Some(param) = request.params.first() {
                    let message = "the values of a transaction stand with each of its statements";
                    problems.0.push(self.context.source.problem_at(param, format!("{key}.request.params"), message));
                }
                for (index, statement) in request.transaction.iter().enumerate() {
                    let key = format!("{key}.request.transaction[{index}]");
                    let step = self.step(&statement.query, &statement.params, &key);
                    steps.extend(problems.take(step));
                }
            }
            (Some(query), false) => {
                let message = "a request has either a query or a transaction";
                problems.0.push(self.context.source.problem_at(query, format!("{key}.request.query"), message));
            }
            (None, true) => {
                let message = "a request needs a query, or a transaction with several";
                problems.0.push(self.context.source.problem(format!("{key}.request"), message));
            }
        }
        let reads = steps.iter().all(|(script, _)| self.scripts[*script].statement.role == Role::Read);
        let role = request.role.unwrap_or(if reads { Role::Read } else { Role::Write });
        problems.or((steps, role))
    }

    fn step(
        &mut self,
        query: &Located<String>,
        params: &[Located<Param>],
        key: &str,
    ) -> Result<(usize, Vec<Template>), Problems> {
        let source = self.context.source;
        let mut problems = Problems::default();
        let statement = Statement::parse(query).map_err(|e| source.problem_at(query, format!("{key}.query"), e))?;
        if statement.params != params.len() {
            let message = format!(
                "the query has {} and params has {}",
                counted(statement.params, "placeholder"),
                counted(params.len(), "value")
            );
            problems.0.push(source.problem_at(query, format!("{key}.params"), message));
        }
        let mut templates = Vec::with_capacity(params.len());
        for (index, param) in params.iter().enumerate() {
            let text = Located { value: param.text.clone(), line: param.line, column: param.column };
            let key = format!("{key}.params[{index}]");
            let template = Template::compile(source, &text, &key, &self.outline.data, &self.outline.captures);
            templates.extend(problems.take(template.map_err(Problems::from)));
        }
        let kinds = params.iter().map(|p| p.kind).collect();
        self.scripts.push(Script { statement, kinds });
        problems.or((self.scripts.len() - 1, templates))
    }
}

/// The table of a ledgered operation, which must write the identifier that is looked for.
fn ledger_table(
    context: &CompileContext<'_>,
    spec: &OperationSpec<SqlRequest, SqlCheck, LedgerRead<SqlLedger>>,
    ledger: &SqlLedger,
    key: &str,
) -> Result<Table, Problems> {
    let request = &spec.request;
    let params = request.params.iter().chain(request.transaction.iter().flat_map(|s| &s.params));
    if !params.into_iter().any(|param| param.text.contains("write_id")) {
        let message = "a write is found again by its identifier, and no value of this operation is it";
        let help = "put \"{{ write_id }}\" among params, for the column that `ledger` names";
        return Err(context.source.problem_at(&ledger.id, format!("{key}.ledger"), message).with_help(help).into());
    }
    Table::compile(context.source, ledger, &format!("{key}.ledger")).map_err(Problems::from)
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn bounds(context: &CompileContext<'_>, check: &SqlCheck, key: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (name, bounds) in [("rows", &check.rows), ("affected", &check.affected)] {
        if let Some(bounds) = bounds
            && bounds.least > bounds.most
        {
            let message = format!("nothing is at least {} and at most {}", bounds.least, bounds.most);
            problems.0.push(context.source.problem_at(bounds, format!("{key}.check.{name}"), message));
        }
    }
    problems.or(())
}

fn servers(
    context: &CompileContext<'_>,
    dial: &Arc<Dial>,
    answer_bytes_max: u64,
    shortest: Nanos,
) -> Result<(Server, Vec<Server>), Problems> {
    let key = format!("endpoints.{}", context.endpoint_name);
    match context.endpoint {
        Endpoint::Postgres(endpoint) => {
            let mut problems = Problems::default();
            let mut server = |secret: &Secret, key: String| {
                let server = postgres(context, endpoint, secret, dial, answer_bytes_max);
                problems.take(server.map_err(|e| Problems::from(context.target.problem(key, e))))
            };
            let primary = server(&endpoint.postgres, format!("{key}.postgres"));
            let replicas: Vec<_> = endpoint.replicas.iter().enumerate().collect();
            let replicas: Vec<_> = replicas
                .into_iter()
                .filter_map(|(index, secret)| server(secret, format!("{key}.replicas[{index}]")))
                .map(Server::Postgres)
                .collect();
            match primary {
                Some(primary) => problems.or((Server::Postgres(primary), replicas)),
                None => Err(problems),
            }
        }
        Endpoint::Sqlite(endpoint) => {
            let path = context.target_folder.join(&endpoint.sqlite.value);
            Ok((Server::Sqlite(Sqlite { path, busy_timeout: shortest.min(BUSY_TIMEOUT_MAX) }), Vec::new()))
        }
        other => {
            let message = format!("the driver sql needs a postgres or sqlite endpoint, not {}", other.kind());
            Err(context.target.problem(key, message).into())
        }
    }
}

fn postgres(
    context: &CompileContext<'_>,
    endpoint: &PostgresEndpoint,
    secret: &Secret,
    dial: &Arc<Dial>,
    answer_bytes_max: u64,
) -> Result<Postgres, String> {
    let text = secret.resolve(context.target_folder)?;
    let dsn = Dsn::parse(text.expose_secret()).map_err(|e| e.to_string())?;
    let hosts = dsn.places.iter().map(|place| {
        context.guard.check(match place {
            Place::Tcp(host, _) => host,
            Place::Socket(_) => "localhost",
        })?;
        let tls = tls(context, endpoint, &dsn, place)?;
        Ok(Arc::new(Host { place: place.clone(), tls, dial: Arc::clone(dial) }))
    });
    let hosts = hosts.collect::<Result<Vec<_>, String>>()?;
    let addresses = dsn.addresses();
    let login = Login {
        user: dsn.user,
        password: dsn.password,
        database: dsn.database,
        application_name: dsn.application_name.unwrap_or_else(|| "slatest".to_owned()),
        options: dsn.options,
    };
    Ok(Postgres {
        hosts,
        wanted: dsn.wanted,
        login,
        prepared: endpoint.prepared_statements,
        connect_timeout: dsn.connect_timeout,
        answer_bytes_max,
        addresses,
        secrets: dsn.secrets,
        last_good: AtomicUsize::new(0),
    })
}

/// How the connection to a place is secured. A certificate is verified with its name wherever the DSN doesn't ask for
/// less; a place on this machine may do without TLS, as long as neither the DSN nor the endpoint names a certificate.
fn tls(context: &CompileContext<'_>, endpoint: &PostgresEndpoint, dsn: &Dsn, place: &Place) -> Result<Tls, String> {
    let own = endpoint.tls_files();
    let both = |name, one: Option<&str>, other: Option<&str>| {
        if one.is_some() && other.is_some() {
            return Err(format!("the endpoint's `{name}` and the DSN's say the same thing twice; leave one out"));
        }
        Ok(())
    };
    both("ca", own.ca, dsn.sslrootcert.as_deref())?;
    both("cert", own.cert, dsn.sslcert.as_deref())?;
    both("key", own.key, dsn.sslkey.as_deref())?;
    // libpq's word for the authorities of the system, which are taken anyway.
    let system = dsn.sslrootcert.as_deref() == Some("system");
    let files = TlsFiles {
        ca: own.ca.or(dsn.sslrootcert.as_deref().filter(|_| !system)),
        cert: own.cert.or(dsn.sslcert.as_deref()),
        key: own.key.or(dsn.sslkey.as_deref()),
    };
    let unnamed = files.named().next().is_none() && !system;
    let mode = match dsn.sslmode {
        Some(SslMode::Disable) if !unnamed => {
            return Err("sslmode=disable, and a certificate is named: leave one out".to_owned());
        }
        Some(mode @ (SslMode::Disable | SslMode::VerifyCa)) => mode,
        // Whoever names an authority wants it to be asked.
        Some(mode) if files.ca.is_none() && !system => mode,
        None if unnamed && place.is_local() => SslMode::Prefer,
        None | Some(_) => SslMode::VerifyFull,
    };
    let verification = match mode {
        SslMode::Disable => return Ok(Tls::Off),
        SslMode::Prefer | SslMode::Require => Verification::Nothing,
        SslMode::VerifyCa => Verification::Authority,
        SslMode::VerifyFull => Verification::AuthorityAndName,
    };
    let config = client_config_verifying(verification, files, context.target_folder, &[]).map_err(|e| e.to_string())?;
    let connector = TlsConnector::from(config);
    Ok(match mode {
        SslMode::Prefer => Tls::Prefer(connector),
        mode => Tls::Always(connector, matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull)),
    })
}

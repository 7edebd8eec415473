//! `slatest sandbox`: the embedded reference platform.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use super::Exit;
use super::process::Signals;
use slatest_core::files::read_bytes;
use slatest_core::model::{Percent, Rate};
use slatest_core::say;
use slatest_core::target::PEM_BYTES_MAX;
use slatest_core::terminal::print_all;
use slatest_sandbox::{
    Behaviour, CacheSettings, EVERY, ErrorRate, KafkaSettings, Latency, OperationBehaviour, Part, Sandbox, Settings,
    Stall,
};

const EXAMPLES: &str = "Examples:
  slatest sandbox
  slatest sandbox --latency '*=lognormal:20ms,0.5' --error-rate 'create-task=1%' --stall '2s/100s'
  SLATEST_SANDBOX_POSTGRES=postgres://… slatest sandbox --only api --postgres --listen 127.0.0.1:8080
  curl -X PUT http://127.0.0.1:PORT/control/behaviour -d '{\"operations\":{\"get-task\":{\"stall\":\"2s\"}}}'

Operations: health, login, me, list-tasks, create-task, get-task, update-task, create-verification,
get-verification, get-patient, create-handover, acknowledge-handover, list-handovers, get-sync-state,
post-sync-operations, sync, echo, redis, probe-1 to probe-8 (GET /probe/1 …: nothing but what they are
told); * (or nothing) means all of them.";

/// Time for what runs to end when the sandbox is told to stop.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Run the embedded reference platform and print where it is.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SandboxArgs {
    /// Where to serve HTTP and WebSockets; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Start only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
    /// Print one line of JSON when ready, for programs
    #[arg(long)]
    ready_json: bool,
    /// End when stdin closes
    #[arg(long)]
    exit_with_parent: bool,

    #[command(flatten)]
    misbehaviour: Misbehaviour,
    #[command(flatten)]
    real: RealServers,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Misbehaviour")]
struct Misbehaviour {
    /// Add latency: constant:5ms, uniform:5ms,20ms, lognormal:20ms,0.5, bimodal:5ms,500ms,1%
    #[arg(long, value_name = "OPERATION=LATENCY")]
    latency: Vec<String>,
    /// Answer a share with an error: 1% or 1%:500
    #[arg(long, value_name = "OPERATION=SHARE[:STATUS]")]
    error_rate: Vec<String>,
    /// Block a share as a web application firewall would: 5%
    #[arg(long, value_name = "OPERATION=SHARE")]
    block_rate: Vec<String>,
    /// Freeze answers: 2s/100s (2 s in every 100 s) or 2s (once, from the start)
    #[arg(long, value_name = "OPERATION=LENGTH[/PERIOD]")]
    stall: Vec<String>,
    /// Serve so many per second at most, one after the other: 500/s
    #[arg(long, value_name = "OPERATION=RATE")]
    capacity: Vec<String>,
    /// Seed of the misbehaviour
    #[arg(long, default_value_t = 0)]
    behaviour_seed: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Real servers (credentials come by environment or file, never by argument)")]
struct RealServers {
    /// Insist on PostgreSQL, at the DSN in SLATEST_SANDBOX_POSTGRES (used whenever it is set)
    #[arg(long)]
    postgres: bool,
    /// Store in PostgreSQL, at the DSN in this file
    #[arg(long, value_name = "FILE", conflicts_with = "postgres")]
    postgres_file: Option<PathBuf>,
    /// Connections to PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    postgres_connections: u32,
    /// Insist on Redis as the task cache, at the URLs (comma separated) in SLATEST_SANDBOX_REDIS
    /// (used whenever it is set); password in SLATEST_SANDBOX_REDIS_PASSWORD
    #[arg(long)]
    redis: bool,
    /// Cache tasks in Redis, at the URLs in this file
    #[arg(long, value_name = "FILE", conflicts_with = "redis")]
    redis_file: Option<PathBuf>,
    /// Redis is a cluster
    #[arg(long)]
    redis_cluster: bool,
    /// CA of Redis (PEM)
    #[arg(long, value_name = "FILE")]
    redis_ca: Option<PathBuf>,
    /// Publish to Kafka at these brokers (comma separated)
    #[arg(long, value_name = "BROKERS", env = "SLATEST_SANDBOX_KAFKA")]
    kafka: Option<String>,
    /// librdkafka settings for it, name=value lines: security.protocol, sasl.*, ssl.ca.location
    #[arg(long, value_name = "FILE", requires = "kafka")]
    kafka_properties: Option<PathBuf>,
    /// Insist on AMQP, at the URL in SLATEST_SANDBOX_AMQP (used whenever it is set)
    #[arg(long)]
    amqp: bool,
    /// Publish to AMQP, at the URL in this file
    #[arg(long, value_name = "FILE", conflicts_with = "amqp")]
    amqp_file: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: SandboxArgs) -> Exit {
    match serve(args) {
        Ok(()) => Exit::Pass,
        Err((exit, message)) => {
            say!("error: {message}");
            exit
        }
    }
}

type Failure = (Exit, String);

fn usage(message: impl Into<String>) -> Failure {
    (Exit::Usage, message.into())
}

fn unexpected(message: impl std::fmt::Display) -> Failure {
    (Exit::Unexpected, message.to_string())
}

fn serve(args: SandboxArgs) -> Result<(), Failure> {
    // A second installation is refused, which means that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    log();
    raise_file_limit();
    let settings = settings(&args)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        builder.worker_threads(threads.into());
    }
    let runtime = builder.enable_all().build().map_err(unexpected)?;
    let ended = runtime.block_on(async {
        let sandbox = Sandbox::start(settings).await.map_err(|error| {
            (if error.is_outside() { Exit::Unreachable } else { Exit::Unexpected }, error.to_string())
        })?;
        let stop = stop(args.exit_with_parent).map_err(unexpected)?;
        let text = if args.ready_json {
            serde_json::to_string(sandbox.ready()).map_err(unexpected)? + "\n"
        } else {
            sandbox.ready().to_text()
        };
        print_all(&text);
        sandbox.serve(stop).await.map_err(unexpected)
    });
    runtime.shutdown_timeout(SHUTDOWN);
    ended
}

/// Warnings go to stderr; `SLATEST_LOG` asks for more.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SLATEST_LOG")
        .unwrap_or_else(|_| "warn,sqlx=error,sqlx_core=error".into());
    // A second subscriber is refused, which means that there is one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .try_init();
}

/// 10,000 connections need as many file descriptors; what the system doesn't allow stays as it is.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Comes with SIGTERM, SIGHUP, SIGQUIT, with Ctrl-C, and (if asked) with the end of stdin: that also comes when the
/// parent is killed. A signal on the parent's death would come when its *thread* ends, too.
fn stop(with_stdin: bool) -> std::io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    let (closed, stdin_closed) = oneshot::channel();
    if with_stdin {
        // A thread of its own: tokio's stdin would hold the runtime's end back.
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut buffer = [0; 256];
            while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
            let _ = closed.send(());
        })?;
    } else {
        // Kept open for ever: nothing is to come from it.
        std::mem::forget(closed);
    }
    Ok(async move {
        tokio::select! {
            _ = signals.heard() => {}
            _ = stdin_closed => {}
        }
    })
}

fn settings(args: &SandboxArgs) -> Result<Settings, Failure> {
    let real = &args.real;
    let parts = if args.only.is_empty() {
        vec![Part::Api, Part::Sync, Part::Sql, Part::Redis, Part::Kafka]
    } else {
        args.only.clone()
    };
    let redis = secret(real.redis, real.redis_file.as_deref(), "redis", "SLATEST_SANDBOX_REDIS")?;
    let redis = match redis {
        Some(urls) => Some(CacheSettings {
            urls,
            password: std::env::var("SLATEST_SANDBOX_REDIS_PASSWORD").ok().map(SecretString::from),
            cluster: real.redis_cluster,
            ca: real.redis_ca.as_deref().map(read).transpose()?,
        }),
        None if real.redis_cluster || real.redis_ca.is_some() => {
            return Err(usage("--redis-cluster and --redis-ca need SLATEST_SANDBOX_REDIS or --redis-file"));
        }
        None => None,
    };
    Ok(Settings {
        listen: args.listen,
        parts,
        behaviour: behaviour(&args.misbehaviour).map_err(usage)?,
        redis_memory_max: 512 << 20,
        postgres: secret(real.postgres, real.postgres_file.as_deref(), "postgres", "SLATEST_SANDBOX_POSTGRES")?,
        postgres_connections: real.postgres_connections,
        redis,
        kafka: real.kafka.clone().map(|brokers| KafkaSettings { brokers, properties: real.kafka_properties.clone() }),
        amqp: secret(real.amqp, real.amqp_file.as_deref(), "amqp", "SLATEST_SANDBOX_AMQP")?,
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    read_bytes(file, PEM_BYTES_MAX).map_err(|error| usage(format!("{} {error}", file.display())))
}

/// A credential from its file, else from the environment, where it must be if the flag insists.
fn secret(flag: bool, file: Option<&Path>, name: &str, variable: &str) -> Result<Option<SecretString>, Failure> {
    let text = match file {
        Some(file) => String::from_utf8(read(file)?).map_err(|_| usage(format!("{}: not text", file.display())))?,
        None => match std::env::var(variable) {
            Ok(text) => text,
            Err(_) if flag => {
                return Err(usage(format!(
                    "--{name} needs the environment variable {variable} (or use --{name}-file)"
                )));
            }
            Err(_) => return Ok(None),
        },
    };
    let secret = SecretString::from(text.trim());
    if secret.expose_secret().is_empty() {
        return Err(usage(format!("{} is empty", file.map_or(variable.into(), |file| file.display().to_string()))));
    }
    Ok(Some(secret))
}

fn behaviour(args: &Misbehaviour) -> Result<Behaviour, String> {
    let mut behaviour = Behaviour { seed: args.behaviour_seed, ..Behaviour::default() };
    each::<Latency>("latency", &args.latency, &mut behaviour, |of, it| of.latency = Some(it))?;
    each::<ErrorRate>("error-rate", &args.error_rate, &mut behaviour, |of, it| of.error = Some(it))?;
    each::<Percent>("block-rate", &args.block_rate, &mut behaviour, |of, it| of.block = Some(it))?;
    each::<Stall>("stall", &args.stall, &mut behaviour, |of, it| of.stall = Some(it))?;
    each::<Rate>("capacity", &args.capacity, &mut behaviour, |of, it| of.capacity = Some(it))?;
    behaviour.check()?;
    Ok(behaviour)
}

fn each<T: std::str::FromStr<Err = String>>(
    flag: &str,
    texts: &[String],
    behaviour: &mut Behaviour,
    mut set: impl FnMut(&mut OperationBehaviour, T),
) -> Result<(), String> {
    for text in texts {
        let (operation, value) = text.split_once('=').unwrap_or((EVERY, text));
        let value = value.trim().parse().map_err(|error| format!("--{flag}: {error}"))?;
        behaviour.set(operation.trim(), |of| set(of, value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: SandboxArgs,
    }

    fn parsed(words: &[&str]) -> Misbehaviour {
        Only::try_parse_from([&["sandbox"], words].concat()).unwrap().args.misbehaviour
    }

    #[test]
    fn flags_become_behaviour() {
        let args =
            parsed(&["--latency", "*=lognormal:20ms,0.5", "--error-rate", "create-task=1%", "--stall", "2s/100s"]);
        let behaviour = behaviour(&args).unwrap();
        assert_eq!(behaviour.operations["*"].stall, Some("2s/100s".parse().unwrap()));
        assert_eq!(behaviour.operations["*"].latency, Some("lognormal:20ms,0.5".parse().unwrap()));
        assert_eq!(behaviour.operations["create-task"].error, Some("1%".parse().unwrap()));
    }

    #[test]
    fn a_wrong_flag_is_named() {
        let error = behaviour(&parsed(&["--error-rate", "create-task=1"])).unwrap_err();
        assert!(error.contains("--error-rate") && error.contains("percent sign"), "{error}");
        assert!(behaviour(&parsed(&["--stall", "create-tusk=2s"])).unwrap_err().contains("create-tusk"));
    }

    #[test]
    fn a_credential_that_is_asked_for_must_be_there() {
        let (exit, message) = secret(true, None, "postgres", "SLATEST_SANDBOX_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(exit, Exit::Usage);
        assert!(message.contains("--postgres-file"));
    }
}

//! Against a PostgreSQL under load: the case for which a tree is killed as one.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::geteuid;

use super::super::compile;
use super::super::registry::tests::context;
use super::*;

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// A command of PostgreSQL, as a user that it accepts.
fn postgres(program: &str, args: &[&str]) -> Command {
    let program = format!("{PROGRAMS}/{program}");
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", &program]);
        command
    } else {
        Command::new(program)
    };
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Every process that has this in its title and is alive, whoever is its parent.
fn titled(name: &str) -> usize {
    let all = procfs::process::all_processes().unwrap().filter_map(Result::ok).filter_map(|p| p.stat().ok());
    let ids = all.map(|stat| ProcessId { pid: stat.pid, started: stat.starttime });
    ids.filter(|id| id.life() != Life::Gone && id.command_line().contains(name)).count()
}

#[tokio::test]
#[ignore = "starts a PostgreSQL: needs Debian's postgresql-15"]
async fn a_killed_postgresql_leaves_no_orphan_that_goes_on_committing() {
    let folder = tempfile::tempdir().unwrap();
    if geteuid().is_root() {
        done(Command::new("chown").arg("postgres:").arg(folder.path()));
    }
    let data = folder.path().join("data").display().to_string();
    done(&mut postgres("initdb", &["-D", &data, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C"]));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let name = format!("slatest-{}", std::process::id());
    let title = format!("cluster_name={name}");
    let mut server = postgres(
        "postgres",
        &["-D", &data, "-p", &port, "-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1", "-c", &title],
    )
    .spawn()
    .unwrap();
    let pid = i32::try_from(server.id()).unwrap();
    let started = procfs::process::Process::new(pid).unwrap().stat().unwrap().starttime;
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("primary.pid"), format!("{pid}\n{started}\n")).unwrap();
    let at = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
    let ready = async {
        while !postgres("pg_isready", &at).status().unwrap().success() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.expect("it starts");
    done(postgres("pgbench", &["-i", "-q"]).args(at).arg("postgres"));
    let mut load = postgres("pgbench", &["-c", "8", "-T", "120", "-n"]).args(at).arg("postgres").spawn().unwrap();
    let busy = async {
        while titled(&name) < 14 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), busy).await.expect("its sessions are there");

    let spec = serde_saphyr::from_str("process: { pid_file: primary.pid, signal: kill }").unwrap();
    let fault = compile(&spec, &context(Path::new(files.path()))).ok().unwrap();
    let undo = fault.plan().await.unwrap();
    let injected = fault.inject(&undo).await.unwrap();
    assert_eq!(titled(&name), 0, "{injected:?}");
    server.wait().unwrap();
    assert!(!load.wait().unwrap().success(), "its clients noticed");
}

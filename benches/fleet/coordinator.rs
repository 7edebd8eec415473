//! The coordinator, as `slatest coordinator` has it, and the run's windows as they are written.

use std::error::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use slatest_cluster::coordinator::{Coordinator, CoordinatorSetup, Told};
use slatest_cluster::fleet::FleetNews;
use slatest_cluster::identity::RunAuthority;
use slatest_cluster::wire;
use slatest_core::measure::{OperationShape, Series, Threshold};
use slatest_core::model::Nanos;
use slatest_core::schedule::ArrivalLaw;
use slatest_engine::load::{Event, Stop};
use slatest_engine::profile::{ExecutorPlan, OperationPlan, Plan, ScenarioPlan};

use crate::{Size, usage};

pub fn shapes(size: Size) -> Vec<OperationShape> {
    slatest_engine::load::shapes(&plan(size))
}

fn plan(size: Size) -> Plan {
    let operation = |number| OperationPlan {
        timeout: Nanos::from_secs(10),
        thresholds: vec![Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(200) }],
        share: 1.0 / f64::from(size.operations),
        ..OperationPlan::sample(&format!("api/operation-{number}"))
    };
    let rate = (size.agents * u64::from(size.operations) * size.samples) as f64;
    let steady = ExecutorPlan::steady(ArrivalLaw::Uniform, Nanos::from_secs(size.seconds), rate);
    let scenario = ScenarioPlan { max_in_flight: 100, ..ScenarioPlan::sample("api", steady) };
    Plan { profile: "fleet".into(), ..Plan::sample(vec![scenario], (0..size.operations).map(operation).collect()) }
}

pub fn run(size: Size) -> Result<(), Box<dyn Error>> {
    let load = usage::load();
    let folder = tempfile::tempdir()?;
    let mut authority = RunAuthority::new()?;
    let token = authority.issue_token(Timestamp::now() + SignedDuration::from_hours(1));
    let setup = CoordinatorSetup {
        run: "bench".to_owned(),
        folder: folder.path().to_owned(),
        plan: Arc::new(plan(size)),
        agents: size.agents,
        wait: Nanos::from_secs(300),
        assignment: wire::Assignment::default(),
        authority: Arc::new(authority),
    };
    let coordinator = Coordinator::open(setup, "127.0.0.1:0")?;
    let number = |n: u64| n.to_string();
    let mut agents = Command::new(std::env::current_exe()?)
        .args(["--agents", &number(size.agents), "--operations", &number(size.operations.into())])
        .args(["--seconds", &number(size.seconds), "--samples", &number(size.samples)])
        .args(["--join", &coordinator.address().to_string(), &token.to_string()])
        .stdin(Stdio::null())
        .spawn()?;

    let mut lines = std::io::BufWriter::new(std::fs::File::create(folder.path().join("windows.jsonl"))?);
    let (mut windows, mut written) = (0, Ok(()));
    let (mut first, mut last, mut resident) = (None, None, Vec::new());
    let facts = coordinator.run(&Stop::default(), &mut |told| match told {
        Told::Event(Event::Window { window, .. }) => {
            windows += 1;
            let line = serde_json::to_string(&*window).map_err(Into::into);
            let line = line.and_then(|line| writeln!(lines, "{line}"));
            written = std::mem::replace(&mut written, Ok(())).and(line);
            let (cpu, rss) = usage::now();
            first.get_or_insert((Instant::now(), cpu));
            last = Some((Instant::now(), cpu));
            if windows % (size.seconds / 6).max(1) == 0 {
                resident.push((windows, rss));
            }
        }
        Told::News(
            FleetNews::Joined { .. }
            | FleetNews::Ready { .. }
            | FleetNews::Finished { .. }
            | FleetNews::Disconnected { .. },
        ) => {}
        Told::News(news) => eprintln!("{news}"),
        _ => {}
    })?;
    written?;
    let status = agents.wait()?;
    if !status.success() {
        return Err("the agents failed".into());
    }
    let ((from, before), (to, after)) = first.zip(last).ok_or("there were no windows")?;
    let samples: u64 = facts.timeline.judged.iter().map(|tally| tally.response.count()).sum();
    println!("agents · operations · seconds           {} · {} · {}", size.agents, size.operations, size.seconds);
    println!("load of the machine before              {load:.1}");
    println!("windows handed on · samples in them     {windows} · {samples}");
    println!("CPU of the coordinator while they came  {:.3} cores", (after - before) / (to - from).as_secs_f64());
    for (window, rss) in resident {
        println!("resident at window {window:>4}                 {:.0} MiB", rss as f64 / f64::from(1 << 20));
    }
    Ok(())
}

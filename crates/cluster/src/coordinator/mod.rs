//! The coordinator of a run: the door through which agents come, the fleet's mind, the journal, and what is
//! told to whoever writes and shows the run. To its caller it is what the engine is to a run on one machine:
//! events while it goes, facts at the end.

mod durable_acks;
mod facts;
mod leader;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use self::durable_acks::DurableAcks;
use self::leader::Leader;
use super::fleet::{Fleet, FleetNews, FleetSettings, FleetView, LOSS_AFTER};
use super::identity::RunAuthority;
use super::journal::{Head, Journal, JournalError, JournalReader};
use super::service::Service;
use super::transport::{self, TransportError};
use super::wire;
use slatest_core::model::Nanos;
use slatest_engine::load::{Event, RunFacts, Stop};
use slatest_engine::profile::Plan;

/// Threads that serve connections; the fleet's mind and the journal have one each besides.
const SERVING_THREADS: usize = 2;

/// What a coordinator is given.
#[derive(Clone, Debug)]
pub struct CoordinatorSetup {
    /// The run's id, also the name of its folder.
    pub run: String,
    /// The run's folder; the journal is written to `cluster/` in it.
    pub folder: PathBuf,
    /// What is done.
    pub plan: Arc<Plan>,
    /// How many agents do it.
    pub agents: u64,
    /// How long to wait until all agents have joined, until all are ready, and, for a run that is resumed,
    /// until those have come back that have not handed over everything. Nanoseconds.
    pub wait: Nanos,
    /// What agents are told to do. Not needed to resume.
    pub assignment: wire::Assignment,
    /// Who may take part.
    pub authority: Arc<RunAuthority>,
}

/// What a coordinator tells while it runs.
#[derive(Clone, Debug)]
pub enum Told {
    /// What an engine would tell of a run. What is notable of the fleet is among its notices.
    Event(Event),
    /// The fleet as it is, twice a second.
    Fleet(FleetView),
    /// What happened to the fleet, for those who watch: notable or not.
    News(FleetNews),
}

/// Why a run of many agents has no facts.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// It ended before the load started: not all joined, one was not ready, somebody ended it.
    #[error("{reason}")]
    NotStarted {
        /// In words.
        reason: String,
        /// Whether its user ended it.
        interrupted: bool,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}; give another one with --listen")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The certificates can't be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The journal can't be written or read.
    #[error("{0}; without its journal a run can't promise that nothing is lost or counted twice")]
    Journal(#[from] JournalError),
    /// There is nothing to resume.
    #[error("{0}")]
    Resume(&'static str),
    /// The machine can't give what is needed.
    #[error("the coordinator can't run: {0}")]
    Machine(std::io::Error),
    /// The service ended by itself.
    #[error("the coordinator's service ended (see the panic above)")]
    Service,
}

/// Where the fleet begins.
enum Beginning {
    /// With a new run.
    New(Journal),
    /// With what the journal of an earlier process remembers.
    Resumed(JournalReader),
}

/// A coordinator that listens.
pub struct Coordinator {
    setup: CoordinatorSetup,
    runtime: tokio::runtime::Runtime,
    service: Service,
    address: SocketAddr,
    beginning: Beginning,
    acks: Arc<DurableAcks>,
}

impl Coordinator {
    /// Listens for the agents of a new run. From now on they may come; nothing happens until
    /// [`Coordinator::run`].
    ///
    /// # Errors
    /// When the address or the folder can't be used.
    pub fn open(setup: CoordinatorSetup, listen: &str) -> Result<Self, CoordinatorError> {
        let (runtime, service, address) = serve(&setup, listen)?;
        let acks = Arc::new(DurableAcks::default());
        let told = Arc::clone(&acks);
        let head = Head::new(setup.run.clone(), setup.agents, address.to_string());
        let journal = Journal::create(&setup.folder, head, move |stored| told.put(stored))?;
        Ok(Self { setup, runtime, service, address, beginning: Beginning::New(journal), acks })
    }

    /// Listens again where the coordinator of this run listened that was killed, for agents that come back.
    ///
    /// # Errors
    /// When there is no journal, the address is taken, or the journal is of another run.
    pub fn resume(mut setup: CoordinatorSetup) -> Result<Self, CoordinatorError> {
        let (head, reader) = JournalReader::open(&setup.folder)?;
        if head.run != setup.run {
            return Err(CoordinatorError::Resume("the journal in this folder is that of another run"));
        }
        setup.agents = head.agents;
        let (runtime, service, address) = serve(&setup, &head.listen)?;
        let acks = Arc::new(DurableAcks::default());
        Ok(Self { setup, runtime, service, address, beginning: Beginning::Resumed(reader), acks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads the run to its end, telling `on` what happens. Blocks.
    ///
    /// # Errors
    /// When the run does not start, or the journal can't be written.
    pub fn run(self, stop: &Stop, on: &mut dyn FnMut(Told)) -> Result<RunFacts, CoordinatorError> {
        let Self { setup, runtime, service, address: _, beginning, acks } = self;
        let facts = runtime.block_on(lead(&setup, service, beginning, &acks, stop, on));
        // Connections that did not end in time are not waited for.
        runtime.shutdown_background();
        facts
    }
}

fn serve(
    setup: &CoordinatorSetup,
    listen: &str,
) -> Result<(tokio::runtime::Runtime, Service, SocketAddr), CoordinatorError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SERVING_THREADS)
        .thread_name("coordinator")
        .enable_all()
        .build()
        .map_err(CoordinatorError::Machine)?;
    let listening = |source| CoordinatorError::Listen { address: listen.to_owned(), source };
    let (service, address) = runtime.block_on(async {
        let (address, incoming) = transport::listen(listen).await.map_err(listening)?;
        let service = Service::start(incoming, Arc::clone(&setup.authority), setup.agents)?;
        Ok::<_, CoordinatorError>((service, address))
    })?;
    Ok((runtime, service, address))
}

async fn lead(
    setup: &CoordinatorSetup,
    mut service: Service,
    beginning: Beginning,
    acks: &Arc<DurableAcks>,
    stop: &Stop,
    on: &mut dyn FnMut(Told),
) -> Result<RunFacts, CoordinatorError> {
    let connections = service.connections.clone();
    let mut leader = Leader::new(setup, connections, on);
    let settings = FleetSettings {
        run: setup.run.clone(),
        agents: setup.agents,
        wait: setup.wait,
        loss_after: LOSS_AFTER,
        plan: Arc::clone(&setup.plan),
        assignment: setup.assignment.clone(),
        wall_at_zero: i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX),
    };
    let fleet = Fleet::new(settings, leader.now());
    let outcome = match beginning {
        Beginning::New(journal) => leader.follow(fleet, journal, &mut service, acks, stop).await,
        Beginning::Resumed(reader) => {
            let resumed = leader.remember(fleet, reader, setup, acks);
            match resumed {
                Ok((fleet, journal)) => leader.follow(fleet, journal, &mut service, acks, stop).await,
                Err(error) => Err(error),
            }
        }
    };
    // What was said last is on its way: the agents are told that they may go, or why they must.
    service.end().await;
    outcome.and_then(|end| leader.facts(end, stop))
}

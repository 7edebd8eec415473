//! An agent as a program runs it.

use std::sync::Arc;

use super::agent_loop::{AgentDeps, live};
use super::connection::Dial;
use super::dial::Sockets;
use super::generator::EngineGenerator;
use super::{AgentClock, AgentEnd, AgentError, AgentNews, AgentSettings};
use crate::wire;
use slatest_engine::load::Stop;
use slatest_engine::record::Machine;

/// Takes part in a run, from joining to its end. Sends load with the engine. Blocks.
///
/// # Errors
/// When the coordinator doesn't want this agent or can't be reached, when it can't get ready, when it can't
/// keep what it must.
pub fn attend(
    settings: AgentSettings,
    stop: Stop,
    on_news: impl FnMut(AgentNews) + Send,
) -> Result<AgentEnd, AgentError> {
    let dial = Sockets::new(&settings)?;
    attend_through(Arc::new(dial), settings, stop, on_news)
}

/// Takes part in a run whose coordinator is reached through `dial`, to its end. Sends load with the
/// engine. Blocks.
///
/// # Errors
/// When the coordinator doesn't want this agent or can't be reached, when it can't get ready, when it can't
/// keep what it must.
pub fn attend_through(
    dial: Arc<dyn Dial>,
    settings: AgentSettings,
    stop: Stop,
    mut on_news: impl FnMut(AgentNews) + Send,
) -> Result<AgentEnd, AgentError> {
    // Two threads: who reads the connection answers pings while the other one writes to the disk.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("agent")
        .enable_all()
        .build()
        .map_err(|e| AgentError::Machine(format!("no runtime to reach the coordinator with: {e}")))?;
    let end = runtime.block_on(async {
        let deps = AgentDeps {
            dial,
            generator: Box::new(EngineGenerator),
            clock: AgentClock::start(),
            seed: rand::random(),
            machine: this_machine(),
        };
        live(settings, deps, stop, &mut on_news).await
    });
    runtime.shutdown_background();
    end
}

/// What is told of this machine.
fn this_machine() -> wire::Machine {
    let Machine { host, kernel, cores, memory_bytes } = Machine::this();
    wire::Machine { host, kernel, cores: cores as u64, memory_bytes }
}

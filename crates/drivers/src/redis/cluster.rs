//! The nodes of a cluster, each with a connection of its own, and which of them has which slots.
//!
//! The library's cluster connection stops everything while it looks for the new topology, and looks for it with
//! each command that a lost node should have had: one lost node then holds up all of them, and for longer than
//! it is lost. Here a node that is away fails what is its own, at once; the topology is asked for beside
//! the load, one question at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, join_all, ready};
use redis::cluster_routing::Slot;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::time::{Instant, timeout};

use super::client::{REDIRECTIONS_MAX, Servers};
use super::keys::{slot_of_command, slot_of_pipeline};
use super::rest::Rest;
use super::slots::{Address, Topology, redirection, topology};
use super::wire::Wire;
use crate::failure::Failure;
use slatest_core::model::{Outcome, WORKLOAD_FAULT};

/// The topology is asked for at most this often.
const ASK_APART: Duration = Duration::from_millis(100);
/// Longest that one node may take to tell it, until the next is asked.
const NODE_PATIENCE: Duration = Duration::from_secs(1);

type Connecting = Shared<BoxFuture<'static, Result<Wire, Failure>>>;

/// A cluster as one link sees it.
pub struct Cluster {
    servers: Arc<Servers>,
    state: Mutex<State>,
    attempts: AtomicU64,
}

#[derive(Default)]
struct State {
    topology: Topology,
    nodes: BTreeMap<Address, Node>,
    /// Nodes that had no place for a connection.
    full: BTreeMap<Address, Rest>,
    /// When the topology was last asked for; whether it is just now.
    asked: Option<Instant>,
    asking: bool,
    /// Who is asked first, so that nobody's old truth wins for ever.
    turn: usize,
    /// Whose turn it is to get what any node can answer.
    any: usize,
}

/// What is sent to one node.
#[derive(Clone, Copy)]
enum Outgoing<'a> {
    One(&'a Cmd),
    Together(&'a Pipeline),
}

impl Outgoing<'_> {
    fn len(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Together(commands) => commands.len(),
        }
    }

    /// Sends it and takes the replies; `asking`: the slot is on its way to this node.
    async fn exchange(self, connection: &mut Wire, asking: bool) -> Result<Vec<Value>, RedisError> {
        match self {
            Self::One(command) if !asking => command.query_async(connection).await.map(|value| vec![value]),
            Self::Together(commands) if !asking => commands.query_async(connection).await,
            Self::One(command) => Self::asked([command].into_iter()).query_async(connection).await,
            Self::Together(commands) => Self::asked(commands.cmd_iter()).query_async(connection).await,
        }
    }

    fn asked<'c>(commands: impl Iterator<Item = &'c Cmd>) -> Pipeline {
        let mut all = redis::pipe();
        for command in commands {
            all.cmd("ASKING").ignore().add_command(command.clone());
        }
        all
    }
}

#[derive(Clone)]
struct Node {
    attempt: u64,
    connecting: Connecting,
    answers: Arc<AtomicU64>,
}

impl Cluster {
    /// Learns the topology and connects to the primaries.
    ///
    /// # Errors
    /// When no server of the endpoint tells it.
    pub async fn open(servers: Arc<Servers>) -> Result<Arc<Self>, Failure> {
        let state = Mutex::default();
        let this = Arc::new(Self { servers, state, attempts: AtomicU64::new(0) });
        this.ask().await?;
        let primaries: Vec<_> = this.state().topology.primaries().cloned().collect();
        // One that can't be reached fails what needs it.
        drop(join_all(primaries.iter().map(|address| this.node(address).connecting)).await);
        Ok(this)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command, as it is written, to the node that has the slot of its first key, and follows where it is sent
    /// on to. Whether its other keys fit is the node's to say.
    ///
    /// # Errors
    /// The node's or the server's. The cluster stays usable: what is lost of it is looked for anew.
    pub async fn send_one(self: &Arc<Self>, command: &Cmd) -> Result<Value, Failure> {
        let replies = self.carry(slot_of_command(command), Outgoing::One(command)).await?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Sends commands together to the node that has the slot of their keys.
    ///
    /// # Errors
    /// As [`Cluster::send_one`], and keys of several slots.
    pub async fn send(self: &Arc<Self>, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let slot = slot_of_pipeline(commands)
            .map_err(|error| Failure::new(Outcome::Rejected, format!("{WORKLOAD_FAULT}{error}")))?;
        self.carry(slot, Outgoing::Together(commands)).await
    }

    async fn carry(self: &Arc<Self>, slot: Option<Slot>, commands: Outgoing<'_>) -> Result<Vec<Value>, Failure> {
        let (mut to, mut asking) = (self.whose(slot), false);
        for _ in 0..REDIRECTIONS_MAX {
            let Some(address) = to else {
                self.look();
                return Err(Failure::new(Outcome::Disconnected, "cluster: nobody has the slot"));
            };
            let error = match self.exchange(&address, commands, asking).await {
                Ok(replies) => return Ok(replies),
                Err(Ended::Connecting(failure)) => {
                    self.look();
                    return Err(Failure { broken: false, ..failure });
                }
                Err(Ended::Answered(error)) => error,
            };
            let Some((next, is_moved)) = redirection(&error, commands.len(), &address) else {
                if error.kind() == READ_ONLY || Failure::from(error.clone()).broken {
                    self.look();
                }
                return Err(Failure { broken: false, ..error.into() });
            };
            if is_moved {
                if let Some(slot) = slot {
                    self.state().topology.moved(slot, next.clone());
                }
                self.look();
            }
            (to, asking) = (Some(next), !is_moved);
        }
        Err(Failure::new(Outcome::Rejected, "MOVED").with_detail("sent from node to node without an end"))
    }

    /// Who has a slot; for what has none, the primaries in turn.
    fn whose(&self, slot: Option<Slot>) -> Option<Address> {
        let mut state = self.state();
        if let Some(slot) = slot {
            return state.topology.primary(slot).cloned();
        }
        let turn = state.any;
        state.any = turn.wrapping_add(1);
        let primaries: Vec<&Address> = state.topology.primaries().collect();
        primaries.get(turn.checked_rem(primaries.len())?).map(|address| (*address).clone())
    }

    async fn exchange(
        self: &Arc<Self>,
        address: &Address,
        commands: Outgoing<'_>,
        asking: bool,
    ) -> Result<Vec<Value>, Ended> {
        let node = self.node(address);
        let mut exchange = Exchange {
            cluster: self,
            address,
            attempt: node.attempt,
            before: node.answers.load(Ordering::Relaxed),
            answers: Arc::clone(&node.answers),
            over: false,
        };
        let connected = node.connecting.await;
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(failure) => {
                exchange.over = true;
                if failure.has_no_place() {
                    self.rest(address, node.attempt);
                } else {
                    self.forget(address, node.attempt);
                }
                return Err(Ended::Connecting(failure));
            }
        };
        let result = commands.exchange(&mut connection, asking).await;
        exchange.over = true;
        match &result {
            Err(error) if Failure::from(error.clone()).broken && error.kind() != READ_ONLY => {
                self.forget(address, node.attempt);
            }
            _ => {
                node.answers.fetch_add(1, Ordering::Relaxed);
            }
        }
        result.map_err(Ended::Answered)
    }

    /// The connection to a node, or the one attempt at it that is under way.
    fn node(&self, address: &Address) -> Node {
        let mut state = self.state();
        let is_full = state.full.get(address).is_some_and(|rest| !rest.is_over());
        let new = || {
            if is_full {
                let full = Failure::full("the node has no place for another connection");
                let connecting = ready(Err(full)).boxed().shared();
                return Node { attempt: u64::MAX, connecting, answers: Arc::default() };
            }
            let (servers, to) = (Arc::clone(&self.servers), address.clone());
            let connecting =
                async move { servers.connect_node(&to.0, to.1).await.map_err(Failure::connecting) }.boxed().shared();
            // Who began it may give up before it ends.
            tokio::spawn(connecting.clone());
            Node { attempt: self.attempts.fetch_add(1, Ordering::Relaxed), connecting, answers: Arc::default() }
        };
        match state.nodes.get(address) {
            Some(node) => node.clone(),
            // What is never tried is not kept.
            None if is_full => new(),
            None => state.nodes.entry(address.clone()).or_insert_with(new).clone(),
        }
    }

    /// A node has no place: it isn't asked for one for a while.
    fn rest(&self, address: &Address, attempt: u64) {
        let mut state = self.state();
        if state.nodes.get(address).is_some_and(|node| node.attempt == attempt) {
            state.nodes.remove(address);
            state.full.entry(address.clone()).or_insert_with(Rest::none).begin();
        }
    }

    fn forget(&self, address: &Address, attempt: u64) {
        let mut state = self.state();
        if state.nodes.get(address).is_some_and(|node| node.attempt == attempt) {
            state.nodes.remove(address);
        }
    }

    /// Something is not where it was: the topology is asked for, unless that is under way or was just done.
    fn look(self: &Arc<Self>) {
        let mut state = self.state();
        if state.asking || state.asked.is_some_and(|asked| asked.elapsed() < ASK_APART) {
            return;
        }
        state.asking = true;
        drop(state);
        let this = Arc::clone(self);
        // Nobody waits for it: whoever comes next finds what it brought, or asks again.
        tokio::spawn(async move { drop(this.ask().await) });
    }

    /// Asks node after node for the topology, until one tells it.
    async fn ask(&self) -> Result<(), Failure> {
        let mut last = Failure::new(Outcome::Disconnected, "connect: no such server");
        let mut told = None;
        for address in self.to_ask() {
            let node = self.node(&address);
            let asked = timeout(NODE_PATIENCE, async {
                let mut connection = node.connecting.clone().await?;
                topology(&mut connection, &address).await
            });
            match asked.await {
                Ok(Ok(topology)) => {
                    told = Some(topology);
                    break;
                }
                Ok(Err(failure)) => {
                    if failure.broken {
                        self.forget(&address, node.attempt);
                    }
                    last = failure;
                }
                Err(_) => last = Failure::new(Outcome::TimedOut, "connect: timed out").broken(),
            }
        }
        let mut state = self.state();
        state.asked = Some(Instant::now());
        state.asking = false;
        let Some(topology) = told else { return Err(last.connecting()) };
        let seeds: Vec<Address> = self.servers.addresses_of_seeds().collect();
        state.nodes.retain(|address, _| topology.has(address) || seeds.contains(address));
        state.topology = topology;
        Ok(())
    }

    /// Whom to ask: those that are connected in turn, then whoever the endpoint names.
    fn to_ask(&self) -> Vec<Address> {
        let mut state = self.state();
        let is_up = |node: &Node| matches!(node.connecting.peek(), Some(Ok(_)));
        let mut all: Vec<Address> = state.nodes.iter().filter(|(_, n)| is_up(n)).map(|(a, _)| a.clone()).collect();
        state.turn = state.turn.wrapping_add(1);
        if !all.is_empty() {
            let first = state.turn % all.len();
            all.rotate_left(first);
        }
        let known = all.len();
        for seed in self.servers.addresses_of_seeds() {
            if !all[..known].contains(&seed) {
                all.push(seed);
            }
        }
        all
    }
}

const READ_ONLY: ErrorKind = ErrorKind::Server(ServerErrorKind::ReadOnly);

/// How an exchange with a node failed.
enum Ended {
    /// There was no connection.
    Connecting(Failure),
    /// The server or the connection said so.
    Answered(RedisError),
}

/// An exchange that is under way. One that is given up shows that its node may hang: if nobody else was
/// answered there since it began, the connection is not used again; and the slots may be another's by now.
struct Exchange<'c> {
    cluster: &'c Arc<Cluster>,
    address: &'c Address,
    attempt: u64,
    before: u64,
    answers: Arc<AtomicU64>,
    over: bool,
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.answers.load(Ordering::Relaxed) == self.before {
            self.cluster.forget(self.address, self.attempt);
        }
        if tokio::runtime::Handle::try_current().is_ok() {
            self.cluster.look();
        }
    }
}

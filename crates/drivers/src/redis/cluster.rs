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
use futures_util::future::{BoxFuture, Shared, join_all};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::client::{REDIRECTIONS_MAX, Servers};
use super::slots::{Address, Topology, redirection, slot_of_command, topology};
use crate::failure::Failure;
use slatest_core::model::Outcome;

/// The topology is asked for at most this often.
const ASK_APART: Duration = Duration::from_millis(100);
/// Longest that one node may take to tell it, until the next is asked.
const NODE_PATIENCE: Duration = Duration::from_secs(1);

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, Failure>>>;

/// A cluster as one link sees it.
pub struct Cluster {
    servers: Arc<Servers>,
    state: Mutex<State>,
    /// For what has no slot of its own: commands of several keys or of none, and pipelines.
    library: OnceCell<redis::cluster_async::ClusterConnection>,
    attempts: AtomicU64,
}

#[derive(Default)]
struct State {
    topology: Topology,
    nodes: BTreeMap<Address, Node>,
    /// When the topology was last asked for; whether it is just now.
    asked: Option<Instant>,
    asking: bool,
    /// Who is asked first, so that nobody's old truth wins for ever.
    turn: usize,
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
        let this = Arc::new(Self { servers, state, library: OnceCell::new(), attempts: AtomicU64::new(0) });
        this.ask().await?;
        let primaries: Vec<_> = this.state().topology.primaries().cloned().collect();
        // One that can't be reached fails what needs it.
        drop(join_all(primaries.iter().map(|address| this.node(address).connecting)).await);
        if this.servers.wants_library() {
            this.library().await?;
        }
        Ok(this)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command to the node that has its slot, and follows where it is sent on to.
    ///
    /// # Errors
    /// The node's or the server's. The cluster stays usable: what is lost of it is looked for anew.
    pub async fn send_one(self: &Arc<Self>, command: &Cmd) -> Result<Value, Failure> {
        let Some(slot) = slot_of_command(command) else {
            return Ok(command.query_async(&mut self.library().await?).await?);
        };
        let (mut to, mut asking) = (self.state().topology.primary(slot).cloned(), false);
        for _ in 0..REDIRECTIONS_MAX {
            let Some(address) = to else {
                self.look();
                return Err(Failure::new(Outcome::Disconnected, "cluster: nobody has the slot"));
            };
            let error = match self.exchange(&address, command, asking).await {
                Ok(value) => return Ok(value),
                Err(Ended::Connecting(failure)) => {
                    self.look();
                    return Err(Failure { broken: false, ..failure });
                }
                Err(Ended::Answered(error)) => error,
            };
            let Some((next, is_moved)) = redirection(&error, &address) else {
                if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) || Failure::from(error.clone()).broken {
                    self.look();
                }
                return Err(Failure { broken: false, ..error.into() });
            };
            if is_moved {
                self.state().topology.moved(slot, next.clone());
                self.look();
            }
            (to, asking) = (Some(next), !is_moved);
        }
        Err(Failure::new(Outcome::Rejected, "MOVED").with_detail("sent from node to node without an end"))
    }

    /// Sends commands together, by the library.
    ///
    /// # Errors
    /// The connection's, or the first command's.
    pub async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        Ok(commands.query_async(&mut self.library().await?).await?)
    }

    async fn library(&self) -> Result<redis::cluster_async::ClusterConnection, Failure> {
        self.library.get_or_try_init(|| self.servers.library_cluster()).await.cloned()
    }

    async fn exchange(self: &Arc<Self>, address: &Address, command: &Cmd, asking: bool) -> Result<Value, Ended> {
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
                self.forget(address, node.attempt);
                return Err(Ended::Connecting(failure));
            }
        };
        let result = if asking {
            let mut both = redis::pipe();
            both.cmd("ASKING").ignore().add_command(command.clone());
            let replies: Result<Vec<Value>, _> = both.query_async(&mut connection).await;
            replies.map(|mut replies| replies.pop().unwrap_or(Value::Nil))
        } else {
            command.query_async(&mut connection).await
        };
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
        let new = || {
            let (servers, to) = (Arc::clone(&self.servers), address.clone());
            let connecting =
                async move { servers.connect_node(&to.0, to.1).await.map_err(Failure::connecting) }.boxed().shared();
            // Who began it may give up before it ends.
            tokio::spawn(connecting.clone());
            Node { attempt: self.attempts.fetch_add(1, Ordering::Relaxed), connecting, answers: Arc::default() }
        };
        state.nodes.entry(address.clone()).or_insert_with(new).clone()
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
        let seeds = &self.servers.addresses_of_seeds();
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

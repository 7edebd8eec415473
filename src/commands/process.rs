//! What every process that sends load sets up: file descriptors, signals, workers.

use std::future::poll_fn;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Exit;
use slatest_core::say;
use slatest_engine::load::{Stop, ask_for_realtime, take_realtime_back};

/// Most workers by default; beyond, their stripes get thin.
const WORKERS_DEFAULT_MAX: usize = 16;

/// One for each core: measured on two cores with the target beside it, two workers were late by
/// 0.6 ms at p99 where one was by 1.5 ms, because an arrival then waits for half of the others.
pub fn workers_default() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(WORKERS_DEFAULT_MAX)
}

/// Sets this process up to send load; what ends it early is asked of the result. Says what is wrong by
/// itself.
///
/// # Errors
/// When there is nothing to listen for signals with.
pub fn begin() -> Result<Stop, Exit> {
    raise_file_limit();
    let stop = Stop::default();
    listen_for_signals(stop.clone()).map_err(|reason| {
        say!("slatest: {reason}");
        Exit::Unexpected
    })?;
    Ok(stop)
}

/// Workers of this process ask for the real-time class. Says by itself where it can't be had.
///
/// # Errors
/// The exit code for that.
pub fn realtime(by_pods: bool) -> Result<(), Exit> {
    if by_pods {
        say!("slatest: --realtime is for workers of this machine: pods are scheduled by their nodes");
        return Err(Exit::Usage);
    }
    let unheard = |reason: std::io::Error| {
        say!(
            "slatest: SIGXCPU can't be listened for, and without it the real-time class would not be bounded: {reason}"
        );
        Exit::Unexpected
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unheard)?;
    let heard = {
        let _inside = runtime.enter();
        signal(SignalKind::from_raw(nix::libc::SIGXCPU)).map_err(unheard)?
    };
    let listen = async move {
        let mut heard = heard;
        while let Some(()) = heard.recv().await {
            take_realtime_back();
        }
    };
    std::thread::Builder::new()
        .name("real-time bound".into())
        .spawn(move || runtime.block_on(listen))
        .map_err(unheard)?;
    ask_for_realtime().map_err(|reason| {
        say!("slatest: {reason}");
        Exit::Refused
    })
}

/// Waits until a child has ended, and kills it where it has not by then.
pub fn end_by(child: &mut Child, when: Instant) {
    while Instant::now() < when {
        match child.try_wait() {
            Ok(None) => {
                #[expect(clippy::disallowed_methods, reason = "waiting for a process that can't be awaited here")]
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(Some(_)) | Err(_) => return,
        }
    }
    // Nothing to be done about a child that is already gone.
    let _ = child.kill();
    let _ = child.wait();
}

/// How many parts of this process say that nothing was sent yet.
static IDLE: AtomicUsize = AtomicUsize::new(0);
/// Whether something was written, sent or broken: from then on every end is an orderly one.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// As long as it lives a signal ends the process at once: files are read and servers are asked whether they are there,
/// which may take as long as they like, and nothing is written, sent or broken.
pub struct NothingSentYet(());

impl NothingSentYet {
    /// From now on.
    pub fn begin() -> Self {
        IDLE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Something is about to be written.
    pub fn is_over() {
        BEGUN.store(true, Ordering::SeqCst);
    }
}

impl Drop for NothingSentYet {
    fn drop(&mut self) {
        IDLE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What asks a process to end.
pub struct Signals {
    signals: Vec<Signal>,
}

impl Signals {
    /// Listens from now on. SIGHUP is left alone where whoever started this process wants it to outlive its
    /// terminal (`nohup`).
    ///
    /// # Errors
    /// When the system says no.
    pub fn listen() -> std::io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
        if !is_ignored(SignalKind::hangup()) {
            kinds.push(SignalKind::hangup());
        }
        Ok(Self { signals: kinds.into_iter().map(signal).collect::<std::io::Result<_>>()? })
    }

    /// Comes with the next of them; `None` when none can come any more.
    pub async fn heard(&mut self) -> Option<()> {
        poll_fn(|context| {
            let mut open = false;
            for signal in &mut self.signals {
                match signal.poll_recv(context) {
                    Poll::Ready(Some(())) => return Poll::Ready(Some(())),
                    Poll::Ready(None) => {}
                    Poll::Pending => open = true,
                }
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: SignalKind) -> bool {
    let bit = 1_u64 << (signal.as_raw_value() - 1);
    procfs::process::Process::myself().and_then(|me| me.status()).is_ok_and(|status| status.sigign & bit != 0)
}

/// 10,000 sessions need 10,000 descriptors; the soft limit is often 1,024 where the hard one is more.
fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "the limit of open files could not be raised");
    }
}

/// Ctrl-C, SIGTERM, SIGQUIT and a terminal that goes away end a run gracefully; a second one ends it at once.
///
/// # Errors
/// In words, when there is nothing to listen with.
fn listen_for_signals(stop: Stop) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime to listen for signals with: {e}"))?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen().map_err(|e| format!("signals can't be listened for: {e}"))?
    };
    let listen = async move {
        while let Some(()) = signals.heard().await {
            stop.ask();
            if IDLE.load(Ordering::SeqCst) > 0 && !BEGUN.load(Ordering::SeqCst) {
                say!("slatest: interrupted before anything was sent");
                // Nothing was begun that would have to be ended: children of this process end with its pipes.
                std::process::exit(Exit::Interrupted as i32);
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(listen))
        .map(drop)
        .map_err(|e| format!("no thread to listen for signals with: {e}"))
}

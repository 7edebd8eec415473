//! The real-time class for the threads of the generator, where somebody asks for it.
//!
//! On a machine that generator and target share, one of them waits while the other runs. In this class it is the
//! target, whose waiting is measured, and not the generator, whose waiting spoils the measurement. A thread in it runs
//! before all ordinary ones, so what holds its processor too long loses the class: the watchdog takes it from a worker
//! that makes no turn, the kernel says so with SIGXCPU after [`HELD_MAX`] and ends the process after [`HELD_LAST`].

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::facts::Scheduling;

/// The lowest priority of the class: what else is in it goes first.
const PRIORITY: i32 = 1;
/// The watchdog's, which must see workers that don't let go.
const PRIORITY_OF_WATCHDOG: i32 = 2;
/// A thread may hold a processor for so long without waiting for anything; then the kernel says SIGXCPU.
const HELD_MAX: Duration = Duration::from_secs(1);
/// And for so long before the kernel ends the process: nothing of ours is left to say then.
const HELD_LAST: Duration = Duration::from_secs(10);

static ASKED: AtomicBool = AtomicBool::new(false);
static TAKEN_BACK: AtomicBool = AtomicBool::new(false);

/// Why the class can't be had.
#[derive(Debug, thiserror::Error)]
pub enum RealtimeError {
    /// The kernel says no.
    #[error(
        "the real-time class is not allowed here ({0}): it takes CAP_SYS_NICE or `ulimit -r 1`, and a control group \
         with real-time runtime (`cpu.rt_runtime_us`)"
    )]
    Refused(io::Error),
    /// It would not be bounded.
    #[error("the time that a real-time thread may hold a processor can't be bounded (RLIMIT_RTTIME): {0}")]
    Unbounded(io::Error),
    /// No thread to try it on.
    #[error("no thread to try the real-time class on: {0}")]
    Thread(io::Error),
}

/// From now on workers of this process ask for the class. Bounds it, and tries it on a thread of its own.
///
/// # Errors
/// When it is not allowed here.
pub fn ask() -> Result<(), RealtimeError> {
    bound().map_err(RealtimeError::Unbounded)?;
    let tried = std::thread::Builder::new().name("real-time".into()).spawn(|| enter(PRIORITY));
    match tried.map_err(RealtimeError::Thread)?.join() {
        Ok(entered) => entered.map_err(RealtimeError::Refused)?,
        Err(_) => return Err(RealtimeError::Refused(io::Error::other("the thread that tried it is gone"))),
    }
    ASKED.store(true, Ordering::SeqCst);
    Ok(())
}

/// Whether workers ask for it.
pub(super) fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst) && !TAKEN_BACK.load(Ordering::SeqCst)
}

/// How workers are scheduled, as far as is known.
pub(super) fn scheduling() -> Scheduling {
    match (ASKED.load(Ordering::SeqCst), TAKEN_BACK.load(Ordering::SeqCst)) {
        (false, _) => Scheduling::Ordinary,
        (true, false) => Scheduling::Realtime,
        (true, true) => Scheduling::TakenBack,
    }
}

/// The calling thread enters the class, as a worker.
pub(super) fn enter_as_worker() -> io::Result<()> {
    enter(PRIORITY)
}

/// The calling thread enters the class, above the workers.
pub(super) fn enter_as_watchdog() -> io::Result<()> {
    enter(PRIORITY_OF_WATCHDOG)
}

/// Takes the class from every thread of this process, for good.
pub fn take_back() {
    TAKEN_BACK.store(true, Ordering::SeqCst);
    let Ok(tasks) = procfs::process::Process::myself().and_then(|me| me.tasks()) else { return };
    for task in tasks.flatten() {
        // One that has ended needs nothing taken.
        let _ = schedule(task.tid, libc::SCHED_OTHER, 0);
    }
}

fn enter(priority: i32) -> io::Result<()> {
    schedule(0, libc::SCHED_RR, priority)
}

fn schedule(thread: i32, policy: i32, priority: i32) -> io::Result<()> {
    // By its number, and not through the C library: one of them refuses to do it for threads.
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads the parameters while the call lasts, and keeps no pointer to them.
    let done = unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread, policy, &raw const parameters) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A thread that never waits is told, and in the end ended, by the kernel.
fn bound() -> io::Result<()> {
    let micros = |length: Duration| u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME)?;
    let hard = hard.min(micros(HELD_LAST));
    Ok(setrlimit(Resource::RLIMIT_RTTIME, micros(HELD_MAX).min(hard), hard)?)
}

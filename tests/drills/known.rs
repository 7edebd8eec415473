//! The target whose every deed is known: a process of its own that serves, fails for a span that it is told, keeps
//! writes and forgets some of them, and writes down when it did so. The binary of these tests starts itself for it.
//!
//! It has two doors: one for those that it serves, and one for those that tell it what to do.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path as Named, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get, put};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deeds::Deed;

/// The variable that makes the binary of the tests the target, with the folder of its files.
pub const FOLDER: &str = "SLATEST_DRILLS_TARGET";
/// The test that is the target when the variable is set, as the binary's arguments.
pub const AS_TARGET: [&str; 4] = ["known::the_target_itself", "--exact", "--ignored", "--nocapture"];
/// What it is told in the beginning.
pub const SETTINGS_FILE: &str = "target.json";
/// Its process and start time.
pub const PID_FILE: &str = "target.pid";
/// What it did.
pub const DEEDS_FILE: &str = "deeds.jsonl";

/// How often it looks whether anybody needs it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What it is told in the beginning.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Where it serves.
    pub service: SocketAddr,
    /// Where it is told what to do.
    pub control: SocketAddr,
    /// The process of the tests; without it, it ends.
    pub owner: u32,
}

/// How it doesn't serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// It answers 503.
    #[default]
    Unavailable,
    /// It takes what it is asked, and never answers that.
    Silent,
}

struct Target {
    began: Instant,
    deeds: PathBuf,
    outage: Mutex<Option<(Instant, Manner)>>,
    /// One of so many requests fails; 0: none.
    fails_every: AtomicU64,
    asked: AtomicU64,
    /// By id, when they were acknowledged.
    writes: Mutex<BTreeMap<String, (Instant, Timestamp)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    fn note(&self, deed: &Deed) {
        let mut line = serde_json::to_vec(deed).expect("a deed is JSON");
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&self.deeds).expect("the deeds are written");
        file.write_all(&line).expect("the deeds are written");
    }

    /// How it doesn't serve now; decided from the clock, so that an outage is exactly as long as it was told to be.
    fn manner(&self) -> Option<Manner> {
        let outage = *lock(&self.outage);
        outage.filter(|(until, _)| Instant::now() < *until).map(|(_, manner)| manner)
    }

    /// Whether this request is served.
    async fn serves(&self) -> bool {
        match self.manner() {
            Some(Manner::Unavailable) => return false,
            Some(Manner::Silent) => std::future::pending::<()>().await,
            None => {}
        }
        let every = self.fails_every.load(Ordering::Relaxed);
        // In no rhythm: what asks regularly could otherwise always, or never, be the one that fails.
        let mixed = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        every == 0 || !mixed.is_multiple_of(every)
    }
}

async fn serve(State(target): State<Arc<Target>>) -> StatusCode {
    if target.serves().await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn write(State(target): State<Arc<Target>>, Named(id): Named<String>) -> StatusCode {
    if !target.serves().await {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    lock(&target.writes).insert(id, (Instant::now(), Timestamp::now()));
    StatusCode::CREATED
}

async fn read(State(target): State<Arc<Target>>, Named(id): Named<String>) -> StatusCode {
    if !target.serves().await {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if lock(&target.writes).contains_key(&id) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

/// What it is told to do; everything at once, in this order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Order {
    /// Forgets the writes that were acknowledged between so many milliseconds ago …
    forget_from: u64,
    /// … and so many.
    forget_until: u64,
    /// Doesn't serve for so many milliseconds.
    outage: u64,
    /// How it doesn't.
    manner: Manner,
    /// One of so many requests fails from now on.
    fails_every: Option<u64>,
    /// Serves again.
    mend: bool,
    /// What it answers to the order.
    answer: u16,
}

/// Does what it is told, and answers what came with it, as services do that quote their callers.
async fn obey(
    State(target): State<Arc<Target>>,
    headers: HeaderMap,
    Query(order): Query<Order>,
) -> (StatusCode, String) {
    if order.forget_from > order.forget_until {
        let ago = |ms: u64| Instant::now().checked_sub(Duration::from_millis(ms)).unwrap_or(target.began);
        let (from, until) = (ago(order.forget_from), ago(order.forget_until));
        let mut writes = lock(&target.writes);
        let gone = writes.iter().filter(|(_, (at, _))| (from..until).contains(at));
        let gone: Vec<(String, Timestamp)> = gone.map(|(id, (_, wall))| (id.clone(), *wall)).collect();
        for (id, acknowledged) in gone {
            writes.remove(&id);
            target.note(&Deed::Forgot { id, acknowledged });
        }
    }
    if order.outage > 0 {
        let length = Duration::from_millis(order.outage);
        let mut outage = lock(&target.outage);
        let (now, from) = (Instant::now(), Timestamp::now());
        *outage = Some((now + length, order.manner));
        target.note(&Deed::Outage { from, until: from + length });
    }
    if let Some(every) = order.fails_every {
        target.fails_every.store(every, Ordering::Relaxed);
    }
    if order.mend {
        *lock(&target.outage) = None;
        target.note(&Deed::Mended { at: Timestamp::now() });
    }
    let status = if order.answer == 0 { StatusCode::OK } else { StatusCode::from_u16(order.answer).expect("a status") };
    let came = headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or("?")));
    (status, came.collect())
}

/// Asks that this thread wait for nobody, as the program's own workers do; without the right to, it waits as others do,
/// and that is measured.
fn hurry() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), -10);
}

/// A listener on an address that the tests hold for it.
fn listen(address: SocketAddr) -> tokio::net::TcpListener {
    let socket = crate::stage::bound(address);
    socket.listen(1024).expect("the address is free");
    socket.set_nonblocking(true).expect("a listener that doesn't block");
    tokio::net::TcpListener::from_std(socket.into()).expect("a listener of this runtime")
}

async fn stand(folder: &Path) {
    let text = std::fs::read_to_string(folder.join(SETTINGS_FILE)).expect("the settings");
    let settings: Settings = serde_json::from_str(&text).expect("settings");
    let target = Arc::new(Target {
        began: Instant::now(),
        deeds: folder.join(DEEDS_FILE),
        outage: Mutex::default(),
        fails_every: AtomicU64::default(),
        asked: AtomicU64::default(),
        writes: Mutex::default(),
    });
    let service = Router::new()
        .route("/health", get(|| std::future::ready("ok")))
        .route("/serve", get(serve))
        .route("/writes/{id}", put(write).get(read))
        .with_state(Arc::clone(&target));
    let control = Router::new().route("/control", any(obey)).with_state(Arc::clone(&target));
    let (at_service, at_control) = (listen(settings.service), listen(settings.control));
    target.note(&Deed::Listens { at: Timestamp::now() });
    let me = procfs::process::Process::myself().and_then(|me| me.stat()).expect("this process");
    // By a rename, so that nobody reads half of it.
    let half = folder.join("target.pid.new");
    std::fs::write(&half, format!("{}\n{}\n", me.pid, me.starttime)).expect("the pid file");
    std::fs::rename(&half, folder.join(PID_FILE)).expect("the pid file");
    let owner = format!("/proc/{}", settings.owner);
    let nobody = async {
        while folder.join(SETTINGS_FILE).exists() && Path::new(&owner).exists() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        end = axum::serve(at_service, service) => end.expect("it serves"),
        end = axum::serve(at_control, control) => end.expect("it can be told"),
        () = nobody => {}
    }
}

#[test]
#[ignore = "not a test: the target of the others, which start it"]
fn the_target_itself() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    hurry();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(stand(Path::new(&folder)));
}

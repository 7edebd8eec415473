//! The independent observer: asks the target every few milliseconds over a connection of its own each time, writes
//! down when it asked and what came of it, and reads from what it wrote when service stopped and when it came back. It
//! knows nothing of drills, and shares no code with the program: sockets, bytes, and the wall clock.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often it asks.
const EVERY: Duration = Duration::from_millis(10);
/// A wake-up that comes so much later than it was asked for is a stall of this machine.
const STALL: Duration = Duration::from_millis(50);
/// Most questions that it remembers on the way to its log.
const WAITING_MAX: usize = 10_000;

/// A line of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// It asked.
    Asked(Asked),
    /// It could not ask: this machine stood still.
    StoodStill {
        /// From then.
        from: Timestamp,
        /// Until then.
        until: Timestamp,
    },
}

/// A question and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When it was asked.
    pub at: Timestamp,
    /// When it was over.
    pub end: Timestamp,
    /// `None`: it was served. Else why not.
    pub error: Option<String>,
}

/// What waits too long, as its error is called.
const NO_ANSWER: &str = "no answer";

/// Not before the first, not after the second.
pub type Between = (Timestamp, Timestamp);

/// An outage, as it was seen from outside.
#[derive(Clone, Debug)]
pub struct Outage {
    /// When service stopped.
    pub stopped: Between,
    /// When it came back; `None`: not while it was looked.
    pub back: Option<Between>,
    /// How many questions failed.
    pub failed: usize,
}

/// An observer at work.
pub struct Observer {
    log: PathBuf,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    began: (Instant, Timestamp),
}

impl Observer {
    /// Begins to ask for `path`, and to write to `log`. Who waits for longer than `patience` was not served.
    pub fn begin(address: SocketAddr, path: &'static str, patience: Duration, log: &Path) -> Self {
        let file = File::create(log).expect("the observer's log");
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            hurry();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(observe(address, path, patience, file, ended));
        });
        Self { log: log.to_owned(), end, thread, began: (Instant::now(), Timestamp::now()) }
    }

    /// Ends, and reads what it wrote.
    pub fn end(self) -> Seen {
        drop(self.end);
        self.thread.join().expect("the observer did not panic");
        let (elapsed, wall) = (self.began.0.elapsed(), Timestamp::now().duration_since(self.began.1));
        let text = std::fs::read_to_string(&self.log).expect("the observer's log");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of the observer")).collect();
        // Somebody may have set the wall clock meanwhile.
        let slip = (wall - SignedDuration::try_from(elapsed).expect("a short time")).abs();
        Seen { lines, slip }
    }
}

/// Asks that this thread wait for nobody; without the right to, its stalls are in its log.
fn hurry() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), -10);
}

async fn observe(
    address: SocketAddr,
    path: &'static str,
    patience: Duration,
    file: File,
    mut ended: oneshot::Receiver<()>,
) {
    let (tell, mut told) = mpsc::channel::<Line>(WAITING_MAX);
    let write = tokio::spawn(async move {
        let mut log = BufWriter::new(file);
        while let Some(line) = told.recv().await {
            let mut text = serde_json::to_vec(&line).expect("a line is JSON");
            text.push(b'\n');
            log.write_all(&text).expect("the observer's log");
        }
        log.flush().expect("the observer's log");
    });
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = (Instant::now(), Timestamp::now());
    loop {
        tokio::select! {
            biased;
            _ = &mut ended => break,
            _ = ticks.tick() => {}
        }
        let now = (Instant::now(), Timestamp::now());
        if now.0 - last.0 > EVERY + STALL {
            drop(tell.send(Line::StoodStill { from: last.1, until: now.1 }).await);
        }
        last = now;
        let tell = tell.clone();
        tokio::spawn(async move {
            let at = Timestamp::now();
            let error = match timeout(patience, ask(address, path)).await {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some(reason),
                Err(_) => Some(NO_ANSWER.to_owned()),
            };
            drop(tell.send(Line::Asked(Asked { at, end: Timestamp::now(), error })).await);
        });
    }
    // Those that are under way are still told of.
    drop(tell);
    write.await.expect("the observer's log");
}

/// Asks once.
async fn ask(address: SocketAddr, path: &str) -> Result<(), String> {
    let message = |e: std::io::Error| e.kind().to_string();
    let mut stream = TcpStream::connect(address).await.map_err(message)?;
    // Thousands of connections would else leave their ports behind for a minute.
    stream.set_zero_linger().map_err(message)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(message)?;
    let mut answer = Vec::with_capacity(256);
    while answer.len() < 12 {
        if stream.read_buf(&mut answer).await.map_err(message)? == 0 {
            return Err("closed without an answer".into());
        }
    }
    match std::str::from_utf8(&answer[..12]) {
        Ok("HTTP/1.1 200") => Ok(()),
        Ok(line) => Err(line.to_owned()),
        Err(_) => Err("no HTTP".into()),
    }
}

/// What an observer saw.
#[derive(Debug)]
pub struct Seen {
    lines: Vec<Line>,
    /// By how much the wall clock was set meanwhile.
    pub slip: SignedDuration,
}

impl Seen {
    /// Every question that says something of the target, in the order in which they were asked. Who waited in vain
    /// while this machine stood still says nothing.
    fn asked(&self) -> Vec<&Asked> {
        let still = |asked: &Asked| self.stood_still(asked.at, asked.end);
        let all = self.lines.iter().filter_map(|line| match line {
            Line::Asked(asked) if asked.error.as_deref() == Some(NO_ANSWER) && still(asked) => None,
            Line::Asked(asked) => Some(asked),
            Line::StoodStill { .. } => None,
        });
        let mut all: Vec<&Asked> = all.collect();
        all.sort_by_key(|asked| asked.at);
        all
    }

    /// Whether this machine stood still between the two.
    pub fn stood_still(&self, from: Timestamp, until: Timestamp) -> bool {
        let meets = |line: &Line| matches!(line, Line::StoodStill { from: a, until: b } if *a < until && *b > from);
        self.lines.iter().any(meets)
    }

    /// How many questions were asked.
    pub fn count(&self) -> usize {
        self.asked().len()
    }

    /// The outage among the questions that were asked between the two; `None` where all were served.
    pub fn outage(&self, from: Timestamp, until: Timestamp) -> Option<Outage> {
        let all = self.asked();
        let failed: Vec<&&Asked> =
            all.iter().filter(|asked| asked.error.is_some() && asked.at >= from && asked.at < until).collect();
        let (first, last) = (failed.first()?, failed.last()?);
        let served = |asked: &&&Asked| asked.error.is_none();
        // It served whoever asked then, so it stopped later.
        let before = all.iter().filter(served).filter(|asked| asked.at < first.at).map(|asked| asked.at).max();
        // Whoever failed last met the outage at some time from then on.
        let after = all.iter().filter(served).filter(|asked| asked.at > last.at).map(|asked| asked.end).min();
        Some(Outage {
            stopped: (before.unwrap_or(from) - self.slip, first.end + self.slip),
            back: after.map(|after| (last.at - self.slip, after + self.slip)),
            failed: failed.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).expect("a time")
    }

    fn asked(ms: i64, end: i64, error: Option<&str>) -> Line {
        Line::Asked(Asked { at: at(ms), end: at(end), error: error.map(str::to_owned) })
    }

    #[test]
    fn an_outage_is_read_from_what_was_asked() {
        let lines = vec![
            asked(0, 1, None),
            asked(5, 6, None),
            asked(10, 12, Some("refused")),
            asked(20, 21, Some("refused")),
            // Asked in the outage, and answered when it was over.
            asked(15, 26, None),
            asked(25, 27, None),
            asked(30, 31, None),
        ];
        let seen = Seen { lines, slip: SignedDuration::ZERO };
        let outage = seen.outage(at(0), at(100)).expect("an outage");
        assert_eq!((outage.stopped, outage.back, outage.failed), ((at(5), at(12)), Some((at(20), at(27))), 2));
        assert!(seen.outage(at(21), at(100)).is_none());
    }

    #[test]
    fn who_waited_while_the_machine_stood_still_says_nothing() {
        let lines = vec![
            asked(0, 1, None),
            asked(5, 255, Some(NO_ANSWER)),
            Line::StoodStill { from: at(6), until: at(300) },
            asked(305, 306, None),
        ];
        let seen = Seen { lines, slip: SignedDuration::ZERO };
        assert!(seen.outage(at(0), at(400)).is_none() && seen.stood_still(at(0), at(400)));
    }
}

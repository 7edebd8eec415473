//! One direction of one connection: bytes in, a while in a bounded queue, bytes out.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Condition;

/// Most bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Most bytes that wait in one direction; then the sender waits, as with a full network.
const HELD_BYTES_MAX: usize = 256 * 1024;
/// Parts of a second into which a bandwidth is cut, so that bytes flow and don't gush.
const PARTS: u64 = 20;

/// Bytes that are due at an instant.
struct Held {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
}

/// How much later, and when the line is free again.
struct Line {
    /// Number of the connection where answers flow, which are those that come later.
    answers: Option<u64>,
    random: Option<(u64, ChaCha8Rng)>,
    last: Option<Instant>,
    free: Option<Instant>,
}

impl Line {
    /// When `bytes` that came in now are due.
    fn due(&mut self, condition: Condition, bytes: usize, now: Instant) -> Instant {
        let Condition::Slow { latency, jitter, bytes_per_second, seed } = condition else { return now };
        let mut due = now;
        if let Some(number) = self.answers {
            due += latency;
            if !jitter.is_zero() {
                if self.random.as_ref().is_none_or(|(of, _)| *of != seed) {
                    let own = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    self.random = Some((seed, ChaCha8Rng::seed_from_u64(own)));
                }
                if let Some((_, random)) = &mut self.random {
                    let by = jitter.as_secs_f64() * random.random_range(-1.0..=1.0);
                    let varied = (latency.as_secs_f64() + by).max(0.0);
                    due = now + Duration::from_secs_f64(varied);
                }
            }
        }
        // TCP keeps the order: nothing overtakes.
        due = self.last.map_or(due, |last| due.max(last));
        if let Some(rate) = bytes_per_second {
            let start = self.free.map_or(due, |free| due.max(free));
            due = start + Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
            self.free = Some(due);
        }
        self.last = Some(due);
        due
    }
}

/// Passes bytes on until their end. `answers` is the connection's number in the direction whose bytes are the
/// upstream's answers.
///
/// # Errors
/// When either side breaks.
pub(super) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    mut conditions: watch::Receiver<Condition>,
    answers: Option<u64>,
) -> io::Result<()> {
    let mut line = Line { answers, random: None, last: None, free: None };
    let mut queue: VecDeque<Held> = VecDeque::new();
    let mut held = 0;
    let mut ended = false;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        if ended && queue.is_empty() {
            return shut(to);
        }
        let condition = *conditions.borrow_and_update();
        let silent = condition == Condition::Blackhole;
        let most = match condition {
            Condition::Slow { bytes_per_second: Some(rate), .. } => {
                usize::try_from(rate.get() / PARTS).unwrap_or(CHUNK_BYTES).clamp(1, CHUNK_BYTES)
            }
            _ => CHUNK_BYTES,
        };
        let next = queue.front().map(|front| front.due).filter(|_| !silent);
        let ready = next.is_some_and(|due| due <= Instant::now());
        tokio::select! {
            changed = conditions.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                // What was late under the old conditions needn't be under the new.
                if conditions.borrow().breaks() {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if *conditions.borrow() == Condition::Pass {
                    let now = Instant::now();
                    queue.iter_mut().for_each(|held| held.due = held.due.min(now));
                    line.last = None;
                    line.free = None;
                }
            }
            readable = from.readable(), if !ended && !silent && held < HELD_BYTES_MAX => {
                readable?;
                match from.try_read(&mut buffer[..most]) {
                    Ok(0) => ended = true,
                    Ok(length) => {
                        let due = line.due(condition, length, Instant::now());
                        held += length;
                        queue.push_back(Held { due, bytes: buffer[..length].to_vec(), written: 0 });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            () = wait(next), if next.is_some() && !ready => {}
            writable = to.writable(), if ready => {
                writable?;
                if let Some(front) = queue.front_mut() {
                    match to.try_write(&front.bytes[front.written..]) {
                        Ok(length) => {
                            front.written += length;
                            held -= length;
                            if front.written == front.bytes.len() {
                                queue.pop_front();
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Says that nothing more comes.
fn shut(to: &TcpStream) -> io::Result<()> {
    match socket2::SockRef::from(to).shutdown(std::net::Shutdown::Write) {
        // It is gone already, which is as good.
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    const fn slow(latency: u64, jitter: u64, bytes_per_second: Option<NonZeroU64>) -> Condition {
        Condition::Slow {
            latency: Duration::from_millis(latency),
            jitter: Duration::from_millis(jitter),
            bytes_per_second,
            seed: 7,
        }
    }

    fn line(number: u64) -> Line {
        Line { answers: Some(number), random: None, last: None, free: None }
    }

    #[test]
    fn jitter_stays_within_its_bounds_keeps_the_order_and_repeats_with_its_seed() {
        let start = Instant::now();
        let at = |i: u64| start + Duration::from_millis(1000 * i);
        let run = |number| -> Vec<Duration> {
            let mut line = line(number);
            (0..500).map(|i| line.due(slow(200, 150, None), 10, at(i)) - at(i)).collect()
        };
        let lates = run(1);
        assert!(lates.iter().all(|l| (50..=350).contains(&l.as_millis())), "{lates:?}");
        let (least, most) = (lates.iter().min().unwrap(), lates.iter().max().unwrap());
        assert!(least.as_millis() < 65 && most.as_millis() > 335, "it uses its room: {least:?} to {most:?}");
        assert_eq!(lates, run(1));
        assert_ne!(lates, run(2), "connections differ");
        let mut line = line(1);
        let together: Vec<Instant> = (0..500).map(|_| line.due(slow(200, 150, None), 10, start)).collect();
        assert!(together.is_sorted(), "nothing overtakes");
    }

    #[test]
    fn a_bandwidth_takes_the_time_that_it_must_and_saves_none_up() {
        let start = Instant::now();
        let rate = NonZeroU64::new(1000);
        let mut line = line(1);
        let dues: Vec<f64> = (0..4).map(|_| (line.due(slow(0, 0, rate), 500, start) - start).as_secs_f64()).collect();
        assert_eq!(dues, [0.5, 1.0, 1.5, 2.0]);
        let later = start + Duration::from_secs(60);
        assert_eq!(line.due(slow(0, 0, rate), 500, later) - later, Duration::from_millis(500));
    }
}

//! What this process uses.

use procfs::process::Process;

/// CPU seconds so far, and resident bytes.
pub fn now() -> (f64, u64) {
    let stat = Process::myself().and_then(|me| me.stat()).expect("Linux has /proc");
    let ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    (ticks, stat.rss * procfs::page_size())
}

/// The machine's load over the last minute.
pub fn load() -> f32 {
    use procfs::Current as _;
    procfs::LoadAverage::current().map_or(0.0, |load| load.one)
}

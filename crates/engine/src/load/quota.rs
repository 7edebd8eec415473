//! What control groups leave to this process of the processors, and how often they took them away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use slatest_core::model::Nanos;

/// Deepest group that is looked at; kernels allow some hundreds.
const DEPTH_MAX: usize = 256;
/// Longest file of the kernel that is read, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Which files a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// One group that this process is in, or an ancestor of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    folder: PathBuf,
    version: Version,
}

/// How often a group was held back since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which it wanted to run.
    pub periods: u64,
    /// Periods of these in which it had used up its quota.
    pub throttled: u64,
    /// How long it was held back, on all processors added up.
    pub time: Nanos,
}

impl Throttling {
    /// What came since an earlier reading.
    fn since(self, before: Self) -> Self {
        Self {
            periods: self.periods.saturating_sub(before.periods),
            throttled: self.throttled.saturating_sub(before.throttled),
            time: self.time - before.time,
        }
    }
}

/// The groups that bound this process, watched from its making on.
#[derive(Clone, Debug, Default)]
pub struct QuotaWatch {
    groups: Vec<(Group, Throttling)>,
}

impl QuotaWatch {
    /// Watches the groups that this process is in now. Where the kernel says nothing of groups there are none.
    pub fn start() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let read = |name: &str| slatest_core::files::read_text(&root.join(name), BYTES_MAX).unwrap_or_default();
        let groups = groups(&read("proc/self/cgroup"), &read("proc/self/mountinfo"));
        let groups = groups.into_iter().map(|group| Group { folder: rooted(root, &group.folder), ..group });
        Self { groups: groups.map(|group| (group.clone(), group.throttling().unwrap_or_default())).collect() }
    }

    /// Processors that the tightest of the groups leaves, a fraction where it says one; `None` without a quota.
    pub fn cores(&self) -> Option<f64> {
        self.groups.iter().filter_map(|(group, _)| group.quota()).min_by(f64::total_cmp)
    }

    /// How often the group that was held back most was held back since the start.
    pub fn throttling(&self) -> Throttling {
        let since = |(group, before): &(Group, Throttling)| Some(group.throttling()?.since(*before));
        self.groups
            .iter()
            .filter_map(since)
            .max_by_key(|one| (one.throttled, one.time, one.periods))
            .unwrap_or_default()
    }
}

fn rooted(root: &Path, folder: &Path) -> PathBuf {
    root.join(folder.strip_prefix("/").unwrap_or(folder))
}

impl Group {
    fn read(&self, file: &str) -> Option<String> {
        slatest_core::files::read_text(&self.folder.join(file), BYTES_MAX).ok()
    }

    fn quota(&self) -> Option<f64> {
        match self.version {
            Version::One => quota_of(self.read("cpu.cfs_quota_us")?.trim(), self.read("cpu.cfs_period_us")?.trim()),
            Version::Two => {
                let text = self.read("cpu.max")?;
                let mut words = text.split_whitespace();
                quota_of(words.next()?, words.next()?)
            }
        }
    }

    fn throttling(&self) -> Option<Throttling> {
        Some(throttling_of(&self.read("cpu.stat")?))
    }
}

/// A quota over its period, in processors; `None` for `max`, -1, and what is no number.
fn quota_of(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0 && quota.is_finite() && period.is_finite()).then(|| quota / period)
}

/// The lines of `cpu.stat`: microseconds in the one version, nanoseconds in the other.
fn throttling_of(text: &str) -> Throttling {
    let mut all = Throttling::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        match name {
            "nr_periods" => all.periods = value,
            "nr_throttled" => all.throttled = value,
            "throttled_time" => all.time = Nanos(value),
            "throttled_usec" => all.time = Duration::from_micros(value).into(),
            _ => {}
        }
    }
    all
}

/// A mounted tree of groups.
struct Mount {
    version: Version,
    /// Which group is at its top.
    top: String,
    /// Where.
    at: PathBuf,
}

/// Every group that bounds the processors of a process, from its own up, by the text of its `cgroup` and `mountinfo`.
fn groups(cgroup: &str, mountinfo: &str) -> Vec<Group> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(mount_of).collect();
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let version = match controllers {
            "" => Version::Two,
            _ if controllers.split(',').any(|one| one == "cpu") => Version::One,
            _ => continue,
        };
        for mount in mounts.iter().filter(|mount| mount.version == version) {
            // A namespace may hide where the top is: then the group is looked for at the top itself.
            let below = match mount.top.as_str() {
                "/" => Some(path),
                top => path.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with('/')),
            };
            let below = Path::new(below.unwrap_or("").trim_start_matches('/'));
            if below.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
                found.push(Group { folder: mount.at.clone(), version });
                continue;
            }
            let chain = below.ancestors().take(DEPTH_MAX).map(|part| Group { folder: mount.at.join(part), version });
            found.extend(chain);
        }
    }
    found
}

/// One line of `mountinfo`, where it is a tree of groups that bounds processors.
fn mount_of(line: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (top, at) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (name, _, options) = (kind.next()?, kind.next()?, kind.next()?);
    let version = match name {
        "cgroup2" => Version::Two,
        "cgroup" if options.split(',').any(|one| one == "cpu") => Version::One,
        _ => return None,
    };
    // Spaces and the like stand as octal numbers.
    let plain = |text: &str| text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    Some(Mount { version, top: plain(top), at: PathBuf::from(plain(at)) })
}

#[cfg(test)]
mod tests;

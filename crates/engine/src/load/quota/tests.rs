//! Trees of control groups as files in a folder.

use std::fs;

use super::*;

/// A machine whose files say this.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn cores(files: &[(&str, &str)]) -> Option<f64> {
    QuotaWatch::below(machine(files).path()).cores()
}

const V2: (&str, &str) =
    ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
const V1: (&str, &str) = (
    "proc/self/mountinfo",
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
     32 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n",
);

#[test]
fn a_quota_is_a_fraction_in_both_versions() {
    let two = [V2, ("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/cpu.max", "2500 100000\n")];
    assert_eq!(cores(&two), Some(0.025));
    let one = [
        V1,
        ("proc/self/cgroup", "4:memory:/m\n2:cpu,cpuacct:/a\n1:cpuset:/\n"),
        ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(cores(&one), Some(1.5));
}

#[test]
fn the_tightest_of_the_ancestors_counts() {
    let files = [
        V2,
        ("proc/self/cgroup", "0::/pod/container/inner\n"),
        ("sys/fs/cgroup/pod/cpu.max", "25000 100000\n"),
        ("sys/fs/cgroup/pod/container/cpu.max", "50000 100000\n"),
        ("sys/fs/cgroup/pod/container/inner/cpu.max", "max 100000\n"),
        // Of others.
        ("sys/fs/cgroup/other/cpu.max", "1000 100000\n"),
    ];
    assert_eq!(cores(&files), Some(0.25));
}

#[test]
fn a_container_sees_its_own_group_at_the_top() {
    let mount = "30 23 0:26 /kubepods/pod7 /sys/fs/cgroup ro - cgroup2 cgroup2 ro\n";
    let at = |path: &'static str| [("proc/self/mountinfo", mount), ("proc/self/cgroup", path)];
    let quota = |file| [(file, "30000 100000\n")];
    assert_eq!(cores(&[&at("0::/kubepods/pod7\n")[..], &quota("sys/fs/cgroup/cpu.max")].concat()), Some(0.3));
    assert_eq!(cores(&[&at("0::/kubepods/pod7/c\n")[..], &quota("sys/fs/cgroup/c/cpu.max")].concat()), Some(0.3));
    // Beside its own root, by a name that leads out of it.
    assert_eq!(cores(&[&at("0::/../../elsewhere\n")[..], &quota("sys/fs/cgroup/cpu.max")].concat()), Some(0.3));
    assert_eq!(cores(&[&at("0::/kubepods/pod77\n")[..], &quota("sys/fs/cgroup/cpu.max")].concat()), Some(0.3));
}

#[test]
fn no_quota_and_nonsense_are_none() {
    for said in ["max 100000\n", "", "-1 100000\n", "0 100000\n", "5 0\n", "NaN 1\n", "inf 1\n", "a b\n", "500\n"] {
        let files = [V2, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", said)];
        assert_eq!(cores(&files), None, "{said:?}");
    }
    let unlimited = [
        V1,
        ("proc/self/cgroup", "2:cpu,cpuacct:/\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(cores(&unlimited), None);
    assert_eq!(cores(&[]), None);
    assert_eq!(cores(&[("proc/self/cgroup", "garbage\n1:cpu\n::::\n"), ("proc/self/mountinfo", "a - b\n - \n")]), None);
}

#[test]
fn what_was_held_back_before_the_start_is_not_counted() {
    let stat = "nr_periods 100\nnr_throttled 40\nthrottled_usec 2000000\n";
    let root = machine(&[V2, ("proc/self/cgroup", "0::/a/b\n"), ("sys/fs/cgroup/a/cpu.stat", stat)]);
    let watch = QuotaWatch::below(root.path());
    assert_eq!(watch.throttling(), Throttling::default());
    let later = "usage_usec 5\nnr_periods 130\nnr_throttled 61\nthrottled_usec 23000000\nnr_bursts 0\n";
    fs::write(root.path().join("sys/fs/cgroup/a/cpu.stat"), later).unwrap();
    let expected = Throttling { periods: 30, throttled: 21, time: Nanos::from_secs(21) };
    assert_eq!(watch.throttling(), expected);
}

#[test]
fn the_older_version_counts_in_nanoseconds() {
    let text = "nr_periods 3\nnr_throttled 2\nthrottled_time 1500000000\n";
    let expected = Throttling { periods: 3, throttled: 2, time: Nanos::from_millis(1_500) };
    assert_eq!(throttling_of(text), expected);
    assert_eq!(throttling_of("nr_periods x\nnr_throttled\n\n throttled_time 5"), Throttling::default());
}

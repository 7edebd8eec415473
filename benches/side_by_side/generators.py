"""slatest and its peers: how each is called for one row, and how much it did."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .process import Missing, Ran, find, generate

BENCHES = Path(__file__).resolve().parent.parent


@dataclass
class Did:
    """What one run of a generator came to."""

    ran: Ran
    done: int
    # Per second, where CPU is not what counts.
    rate: float = 0
    # Nanoseconds; only where the generator measures them.
    p50: float = 0
    lag_p50: float = 0
    lag_p99: float = 0
    stalled: bool = False

    @property
    def per_cpu_second(self):
        return self.done / self.ran.cpu


class Slatest:
    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)

    def target(self, endpoints):
        lines = ["name: bench", "environment: staging",
                 'allow: { hosts: ["127.0.0.1", "localhost"], max_rate: 10000000/s }', "endpoints:"]
        lines += [f"  {name}: {json.dumps(value)}" for name, value in endpoints.items()]
        path = self.folder / "target.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, profile, endpoints, seconds, *more, env=None):
        results = self.folder / "results"
        # Profiles name their workloads by path, so the program runs where they lie.
        text = (BENCHES / "profiles" / f"{profile}.yaml").read_text()
        text = re.sub(r"workload: ([\w-]+\.yaml)", rf"workload: {BENCHES}/workloads/\1", text)
        written = self.folder / f"{profile}.yaml"
        written.write_text(text)
        command = [self.program, "run", "-q", "-p", str(written), "-t", str(self.target(endpoints)), "--out",
                   str(results), "--duration", f"{seconds}s", *more]
        ran = generate(command, env={**os.environ, **(env or {})})
        records = sorted(results.glob("*/run.json"), key=os.path.getmtime)
        if ran.code not in (0, 97, 98, 99) or not records:
            sys.exit(f"slatest failed ({ran.code}):\n{ran.output}")
        record = json.loads(records[-1].read_text())
        result = record["result"]
        total, own = result["total"], result["generator"]
        failed = sum(n for kind, n in total["outcomes"].items() if kind != "ok")
        if failed > total["count"] / 2:
            sys.exit(f"slatest: {failed} of {total['count']} failed\n{ran.output}")
        if failed > total["count"] / 1000:
            print(f"  slatest: {failed} of {total['count']} failed", flush=True)
        lag = own["send_lag"] or {}
        return Did(ran, total["count"], rate=total["rate"], p50=(total["response"] or {}).get("p50", 0), lag_p50=lag.get("p50", 0),
                   lag_p99=lag.get("p99", 0), stalled=own["resources"]["stall_max"] > 0)


def counted(ran, pattern, kind=float):
    found = re.search(pattern, ran.output)
    if ran.code != 0 or not found:
        sys.exit(f"a peer failed ({ran.code}):\n{ran.output[-2000:]}")
    return kind(found.group(1))


def oha(url, seconds, connections=64, rate=None):
    command = [find("oha", "cargo install oha"), "--no-tui", "-c", str(connections), "-z", f"{seconds}s"]
    if rate:
        command += ["-q", str(rate), "--latency-correction"]
    ran = generate([*command, url])
    done = counted(ran, r"\[200\] (\d+) responses", int)
    return Did(ran, done, p50=milliseconds(ran, r"50\.00% in ([\d.]+) (\w+)"))


def wrk(url, seconds, connections=64):
    ran = generate([find("wrk", "apt-get install wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", url])
    return Did(ran, counted(ran, r"(\d+) requests in", int))


def hey(url, seconds, connections=64):
    ran = generate([find("hey", "go install github.com/rakyll/hey@latest"), "-c", str(connections), "-z", f"{seconds}s",
                    url])
    return Did(ran, counted(ran, r"\[200\]\s+(\d+) responses", int))


K6 = """import http from 'k6/http';
export const options = { discardResponseBodies: true, scenarios: { s: %s } };
export default function () { http.get(%s); }
"""


def k6(folder, url, seconds, connections=64, rate=None):
    if rate:
        scenario = {"executor": "constant-arrival-rate", "rate": rate, "timeUnit": "1s", "duration": f"{seconds}s",
                    "preAllocatedVUs": connections}
    else:
        scenario = {"executor": "constant-vus", "vus": connections, "duration": f"{seconds}s"}
    script = Path(folder) / "k6.js"
    script.write_text(K6 % (json.dumps(scenario), json.dumps(url)))
    program = find("k6", "go install go.k6.io/k6@latest")
    ran = generate([program, "run", "--quiet", "--summary-trend-stats", "med,p(99)", str(script)])
    done = counted(ran, r"http_reqs[.\s]*: (\d+)", int)
    return Did(ran, done, p50=milliseconds(ran, r"http_req_duration[.\s]*: med=([\d.]+)([mµun]?s)"))


def milliseconds(ran, pattern):
    found = re.search(pattern, ran.output)
    if not found:
        return 0
    unit = {"s": 1e9, "sec": 1e9, "secs": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1}[found.group(2)]
    return float(found.group(1)) * unit


def pgbench(port, seconds, clients=16):
    ran = generate([find("pgbench"), "-n", "-S", "-M", "prepared", "-c", str(clients), "-T", str(seconds), "-h",
                    "127.0.0.1", "-p", str(port), "-U", "bench", "postgres"])
    return Did(ran, counted(ran, r"transactions actually processed: (\d+)", int))


def redis_benchmark(port, command, requests):
    ran = generate([find("redis-benchmark"), "-h", "127.0.0.1", "-p", str(port), "-c", "50", "-n", str(requests), "-t",
                    command, "-q"])
    if ran.code != 0:
        sys.exit(f"redis-benchmark failed:\n{ran.output[-2000:]}")
    return Did(ran, requests)


def librdkafka_tool(folder):
    """librdkafka's own performance tool, built from the source that slatest's driver is built from."""
    built = Path(folder) / "rdkafka_performance"
    if built.exists():
        return built
    target = Path(os.environ.get("CARGO_TARGET_DIR", BENCHES.parent / "target"))
    outs = sorted(target.glob("*/build/rdkafka-sys-*/out"), key=os.path.getmtime)
    outs = [out for out in outs if (out / "src/librdkafka.a").exists()]
    if not outs:
        raise Missing("librdkafka's source and library are not here: build slatest first")
    out = outs[-1]
    zstd = sorted(target.glob("*/build/zstd-sys-*/out/libzstd.a"), key=os.path.getmtime)[-1:] or ["-lzstd"]
    subprocess.run(["cc", "-O2", "-o", built, f"-I{out}/src", out / "examples/rdkafka_performance.c",
                    out / "src/librdkafka.a", *zstd, "-lz", "-lssl", "-lcrypto", "-lm", "-lpthread", "-ldl", "-lrt"],
                   check=True)
    return built


def rdkafka_performance(folder, port, records):
    ran = generate([str(librdkafka_tool(folder)), "-P", "-t", "bench", "-b", f"127.0.0.1:{port}", "-s", "1024", "-c",
                    str(records), "-a", "-1", "-X", "linger.ms=5", "-X", "enable.idempotence=true", "-q"])
    return Did(ran, counted(ran, r"(\d+) delivered", int), rate=counted(ran, r"(\d+) msgs/s"))

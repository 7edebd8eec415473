"""The rows of the table: what is run against what, and the ratio that is to be reached."""

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import generators as g
from . import servers
from .process import Missing, generate, load

ROWS = {}


def row(name):
    def register(function):
        ROWS[name] = function
        return function

    return register


@dataclass
class Bench:
    """What every row needs."""

    slatest: g.Slatest
    folder: Path
    rounds: int
    seconds: int
    lines: list = field(default_factory=list)

    def turns(self, contenders):
        """Runs the contenders in turn, `rounds` times: {name: [what each run gave]}."""
        given = {name: [] for name in contenders}
        for _ in range(self.rounds):
            for name, contender in contenders.items():
                try:
                    given[name].append(contender())
                except Missing as why:
                    print(f"  left out: {why}")
        return {name: runs for name, runs in given.items() if runs}

    def say(self, text):
        line = f"{text} (load {load():.1f})"
        self.lines.append(line)
        print(f"  {line}", flush=True)


def median(runs, figure):
    return statistics.median(figure(run) for run in runs)


def ratios(bench, what, given, figure, want, unit=""):
    """Prints the median of every contender and slatest's ratio to each peer that a figure is set for."""
    medians = {name: median(runs, figure) for name, runs in given.items()}
    bench.say(f"{what}: " + " · ".join(f"{name} {value:,.4g}{unit}" for name, value in medians.items()))
    for peer, (least, bound) in want.items():
        if peer in medians and medians[peer]:
            ratio = medians["slatest"] / medians[peer]
            held = ratio >= bound if least else ratio <= bound
            sign = "≥" if least else "≤"
            bench.say(f"{what}: {ratio:.2f} × {peer}, to reach {sign} {bound}: {'yes' if held else 'no'}")


@row("closed")
def closed(bench):
    """HTTP/1.1 closed loop: requests per generator-CPU-second, and the memory of that run."""
    server, port = servers.nginx(bench.folder)
    url = f"http://127.0.0.1:{port}/1k.json"
    api = {"api": {"http": f"http://127.0.0.1:{port}"}}
    with server:
        given = bench.turns({
            "slatest": lambda: bench.slatest.run("closed", api, bench.seconds),
            "wrk": lambda: g.wrk(url, bench.seconds),
            "oha": lambda: g.oha(url, bench.seconds),
            "hey": lambda: g.hey(url, bench.seconds),
            "k6": lambda: g.k6(bench.folder, url, bench.seconds),
        })
        ratios(bench, "closed loop, requests per CPU second", given, lambda d: d.per_cpu_second,
               {"oha": (True, 1.1), "wrk": (True, 0.85)})
        ratios(bench, "closed loop, peak memory", given, lambda d: d.ran.peak_kib / 1024, {}, " MiB")
        ratios(bench, "closed loop, of it private", given, lambda d: d.ran.private_kib / 1024, {}, " MiB")


@row("growth")
def growth(bench):
    """Peak memory after 10 s and after 100 s of the closed loop."""
    server, port = servers.nginx(bench.folder)
    api = {"api": {"http": f"http://127.0.0.1:{port}"}}
    with server:
        for seconds, times in ((10, 3), (100, 1)):
            runs = [bench.slatest.run("closed", api, seconds).ran for _ in range(times)]
            peak, private = (statistics.median(f(r) / 1024 for r in runs) for f in
                             (lambda r: r.peak_kib, lambda r: r.private_kib))
            bench.say(f"peak memory of {seconds} s: {peak:.1f} MiB, of it private {private:.1f} MiB")


@row("open")
def opened(bench):
    """CPU of the generator at fixed rates, its lag, and the median that it measures."""
    server, port = servers.nginx(bench.folder)
    url = f"http://127.0.0.1:{port}/1k.json"
    api = {"api": {"http": f"http://127.0.0.1:{port}"}}
    with server:
        for rate in (300, 5_000, 20_000):
            contenders = {
                "slatest": lambda: bench.slatest.run("open", api, bench.seconds, "--rate", f"{rate}/s"),
                "oha": lambda: g.oha(url, bench.seconds, rate=rate),
            }
            if rate == 300:
                contenders["k6"] = lambda: g.k6(bench.folder, url, bench.seconds, rate=rate)
            given = bench.turns(contenders)
            ratios(bench, f"CPU at {rate:,}/s", given, lambda d: 100 * d.ran.cpu / bench.seconds, {"oha": (False, 1.0)},
                   " %")
            done = median(given["slatest"], lambda d: d.done) / bench.seconds
            bench.say(f"achieved at {rate:,}/s: slatest {done:,.0f}/s, oha "
                      f"{median(given['oha'], lambda d: d.done) / bench.seconds:,.0f}/s")
            ours = [d for d in given["slatest"] if not d.stalled]
            lag = ours or given["slatest"]
            bench.say(f"send lag at {rate:,}/s: p50 {median(lag, lambda d: d.lag_p50) / 1e3:.1f} µs, p99 "
                      f"{median(lag, lambda d: d.lag_p99) / 1e3:.1f} µs ({len(ours)} of {len(given['slatest'])} runs "
                      "without a host stall)")
            if rate == 300:
                ratios(bench, "measured p50 at 300/s", given, lambda d: d.p50 / 1e3, {}, " µs")


@row("sync")
def sync(bench):
    """Memory of an idle sync session with its replica of the document."""
    server, url = servers.sandbox(bench.folder, bench.slatest.program)
    with server:
        api = {"sync": {"websocket": url}}
        few = bench.slatest.run("idle-sync", api, 10, "--scale", "0.01").ran.peak_kib
        many = bench.slatest.run("idle-sync", api, 10).ran.peak_kib
    bench.say(f"10,000 idle sync sessions: {many / 1024:.0f} MiB; {(many - few) / 9_900:.2f} KiB each more than 100, "
              "to reach ≤ 8")


@row("users")
def users(bench):
    """30,000 users at 300 requests a second in total: memory of each, and whether the rate was kept."""
    for profile, whose in (("users", "shared connections"), ("users-own", "own connections, idle for 10 s at most")):
        server, url = servers.sandbox(bench.folder, bench.slatest.program, "api")
        with server:
            api = {"api": {"http": url}}
            few = bench.slatest.run(profile, api, 120, "--scale", "0.01", "--seed", "1")
            many = bench.slatest.run(profile, api, 120, "--seed", "1")
        each = (many.ran.peak_kib - few.ran.peak_kib) / 29_700
        bench.say(f"30,000 users, {whose}: {many.ran.peak_kib / 1024:.0f} MiB, {each:.2f} KiB each more than 300 "
                  f"(to reach ≤ 8 over its sockets); {many.rate:.1f} requests/s of 300; "
                  f"{100 * many.ran.cpu / 120:.0f} % of one CPU")


@row("sql")
def sql(bench):
    """PostgreSQL point selects per CPU second, prepared."""
    server, port = servers.postgres(bench.folder)
    endpoint = {"database": {"postgres": {"env": "BENCH_DSN"}}}
    with server:
        dsn = f"postgres://bench@127.0.0.1:{port}/postgres?sslmode=disable"
        given = bench.turns({
            "slatest": lambda: bench.slatest.run("selects", endpoint, bench.seconds, env={"BENCH_DSN": dsn}),
            "pgbench": lambda: g.pgbench(port, bench.seconds),
        })
    ratios(bench, "point selects per CPU second", given, lambda d: d.per_cpu_second, {"pgbench": (True, 0.6)})


@row("redis")
def redis(bench):
    """Redis GET and SET per CPU second, 50 connections, no pipelining."""
    server, port = servers.redis(bench.folder)
    endpoint = {"cache": {"redis": [f"redis://127.0.0.1:{port}"]}}
    with server:
        for command in ("set", "get"):
            given = bench.turns({
                "slatest": lambda: bench.slatest.run(f"redis-{command}", endpoint, bench.seconds),
                "redis-benchmark": lambda: g.redis_benchmark(port, command, 50_000 * bench.seconds),
            })
            ratios(bench, f"Redis {command.upper()} per CPU second", given, lambda d: d.per_cpu_second,
                   {"redis-benchmark": (True, 0.7)})


@row("kafka")
def kafka(bench):
    """Kafka records of 1 KB, acknowledged by all: per CPU second and per second."""
    server, port = servers.kafka(bench.folder)
    endpoint = {"events": {"kafka": [f"127.0.0.1:{port}"]}}
    with server:
        given = bench.turns({
            "slatest": lambda: bench.slatest.run("produce", endpoint, bench.seconds),
            "rdkafka_performance": lambda: g.rdkafka_performance(bench.folder, port, 50_000 * bench.seconds),
        })
    ratios(bench, "Kafka records per second", given, lambda d: d.rate, {"rdkafka_performance": (True, 0.9)})
    ratios(bench, "Kafka records per CPU second", given, lambda d: d.per_cpu_second, {})


@row("start")
def start(bench):
    """From the command to the first request, from the last answer to the verdict, and a report."""
    server, port = servers.nginx(bench.folder)
    api = {"api": {"http": f"http://127.0.0.1:{port}"}}
    first, last = [], []
    with server:
        for _ in range(bench.rounds):
            begun = time.time()
            did = bench.slatest.run("open", api, 2, "--rate", "1000/s")
            ended = begun + did.ran.wall
            record = sorted((bench.folder / "results").glob("*/run.json"))[-1]
            started = started_at(record)
            first.append(started - begun)
            last.append(ended - started - 2)
    bench.say(f"start to first request: {1e3 * statistics.median(first):.0f} ms, to reach < 100; "
              f"end to verdict: {1e3 * statistics.median(last):.0f} ms, to reach < 1000")


def started_at(record):
    import datetime

    text = json.loads(record.read_text())["started"]
    return datetime.datetime.fromisoformat(text[:26] + "+00:00").timestamp()


@row("report")
def report(bench):
    """`slatest report` of a day: the windows of a run of all workloads, repeated to 86,400."""
    run = bench.folder / "day"
    command = [bench.slatest.program, "run", "-q", "-p", "smoke", "--out", str(run), "--duration", "20s"]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = next(run.iterdir())
    windows = (folder / "windows.jsonl").read_text().splitlines()
    operations = max(len(json.loads(w)["judged"]) for w in windows)
    body = [w.split(",", 1) for w in windows[2:-2]]
    with open(folder / "windows.jsonl", "w") as out:
        for n in range(86_400):
            out.write(f'{{"index":{n},{body[n % len(body)][1]}\n')
    finished = [generate([bench.slatest.program, "report", str(folder)]).wall for _ in range(bench.rounds)]
    # A killed run is rebuilt from its windows: a hundredth of the day is enough to tell how fast.
    record = json.loads((folder / "run.json").read_text())
    record["status"] = "running"
    (folder / "run.json").write_text(json.dumps(record))
    lines = (folder / "windows.jsonl").read_text().splitlines(keepends=True)
    (folder / "windows.jsonl").write_text("".join(lines[:864]))
    killed = generate([bench.slatest.program, "report", str(folder)]).wall
    shutil.rmtree(run)
    bench.say(f"report of a day of {operations} operations: {1e3 * statistics.median(finished):.0f} ms, to reach "
              f"< 2000; of a killed one, rebuilt from its windows: {killed:.2f} s for each hundredth of the day")


def measure(names, program, rounds, seconds):
    """Runs rows and gives what they said."""
    lines = []
    for name in names:
        print(f"{name}: {(ROWS[name].__doc__ or '').strip()}", flush=True)
        with tempfile.TemporaryDirectory(prefix="slatest-bench-") as folder:
            bench = Bench(g.Slatest(program, folder), Path(folder), rounds, seconds)
            try:
                ROWS[name](bench)
            except Missing as why:
                bench.say(f"{name}: left out: {why}")
            lines += bench.lines
    return lines

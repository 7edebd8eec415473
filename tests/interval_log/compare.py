"""Adds a run's interval log up with hdrh, and compares counts and quantiles with its run.json."""

import json
import math
import pathlib
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

# Wide enough for every value; the reader adds each interval's histogram to this one.
LOWEST, HIGHEST, DIGITS = 64, 3_600_000_000_000, 3
QUANTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
# One step of a histogram with three digits, as a share: either end of it may be named.
STEP = 1 / 1000


def sums(log: pathlib.Path) -> dict[str, HdrHistogram]:
    found: dict[str, HdrHistogram] = {}
    reader = HistogramLogReader(str(log), HdrHistogram(LOWEST, HIGHEST, DIGITS))
    try:
        while (interval := reader.get_next_interval_histogram()) is not None:
            tag = interval.get_tag() or "total"
            found.setdefault(tag, HdrHistogram(LOWEST, HIGHEST, DIGITS)).add(interval)
    finally:
        reader.close()
    return found


def at_rank(histogram: HdrHistogram, rank: int) -> int:
    """The value of the sample of this rank (from 1), from the counts as the reader has them."""
    seen = 0
    for step in histogram.get_recorded_iterator():
        seen += step.count_added_in_this_iter_step
        if seen >= rank:
            return step.value_iterated_to
    return histogram.get_max_value()


def compare(name: str, share: float, shown: int, log: HdrHistogram) -> str | None:
    """What differs between a quantile in run.json and in the log.

    A quantile is the least value at or below which at least that share of the samples lies. This
    reader's own method rounds to the nearest rank instead, so it may name a neighbour's value.
    """
    total = log.get_total_count()
    rank = min(max(math.ceil(share / 100 * total - 1e-9), 1), total)
    exact = at_rank(log, rank)
    if abs(exact - shown) > STEP * shown:
        return f"{name} is {exact} in the log, {shown} in run.json"
    own = log.get_value_at_percentile(share)
    if not at_rank(log, rank - 1) * (1 - STEP) <= own <= at_rank(log, rank + 1) * (1 + STEP):
        return f"{name} is {own} by the reader's own method, {shown} in run.json"
    return None


def main(run: pathlib.Path) -> int:
    result = json.loads((run / "run.json").read_text())["result"]
    found = sums(run / "timeline.hlog")
    wrong, compared = [], 0
    for figures in [*result["operations"], result["total"]]:
        address, shown = figures["address"], figures["response"]
        if shown is None:
            if address in found and found[address].get_total_count():
                wrong.append(f"{address}: run.json has no response times, the log has")
            continue
        compared += 1
        if address not in found:
            wrong.append(f"{address}: not in the log")
            continue
        log = found[address]
        if log.get_total_count() != shown["samples"]:
            wrong.append(f"{address}: {log.get_total_count()} samples in the log, {shown['samples']} in run.json")
            continue
        for name, share in [*QUANTILES.items(), ("max", 100.0)]:
            if difference := compare(name, share, shown[name], log):
                wrong.append(f"{address}: {difference}")
    for line in wrong:
        print(line, file=sys.stderr)
    if compared == 0:
        print("nothing to compare", file=sys.stderr)
        return 1
    print(f"{compared} series agree" if not wrong else f"{len(wrong)} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

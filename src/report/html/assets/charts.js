// Which charts there are.
const S = window.slatest;
const NAMES = ["p50", "p90", "p95", "p99", "p99.9", "max"];
const OFF = [true, true, false, false, true, true];

const time = () => ({
  time: true, slot: S.data.slot, x: S.x, xName: "time", marks: S.data.marks,
  xText: (value) => S.text.at(value), xLabel: (value) => S.text.at(value), text: S.text.number,
});

const per = (counts) => counts.map((count) => count / S.data.slot);

S.specs = {
  times(of, name) {
    const series = NAMES.map((label, i) => ({ label, values: of.times[i], off: OFF[i] && i !== 0 }));
    return { ...time(), title: "Response time" + name, hint: "of all that ended, by their ends; log scale", series, text: S.text.ms, log: true, csvUnit: "ms" };
  },
  errors() {
    const rest = S.data.errors.length === 0;
    const series = rest
      ? [{ label: "failed", values: S.data.total.failed.map(() => 0), color: 6 }]
      : S.data.errors.map((one, i) => ({ label: one.kind, values: per(one.counts), steps: true, fill: i === 0 }));
    return { ...time(), title: "Errors by kind", hint: "all operations, per second", series, text: S.text.rate, csvUnit: "per second" };
  },
  rate() {
    const series = [
      { label: "planned", values: S.data.planned, color: 6, dash: [6, 4] },
      { label: "fired", values: S.data.achieved, color: 0 },
      { label: "completed (every step)", values: per(S.data.total.ended), color: 1, off: true },
    ].filter((one) => one.values.some((value) => value != null));
    return { ...time(), title: "Planned against achieved", hint: "arrivals per second, all scenarios", series, text: S.text.rate, csvUnit: "per second" };
  },
  "in-flight"() {
    return { ...time(), title: "In flight", hint: "operations under way at the end of each slot", series: [{ label: "in flight", values: S.data.in_flight, color: 5, fill: true }] };
  },
  lateness() {
    return { ...time(), title: "The generator's own lateness", hint: "fired − planned, p99; log scale", series: [{ label: "p99", values: S.data.lateness, color: 6 }], text: S.text.ms, log: true, csvUnit: "ms" };
  },
  "operation-rate"(of, name) {
    const series = [{ label: "ended", values: per(of.ended), color: 0 }, { label: "failed", values: per(of.failed), color: 4, fill: true }];
    return { ...time(), title: "Rate and failures" + name, hint: "per second", series, text: S.text.rate, csvUnit: "per second" };
  },
  "operation-parts"(of, name) {
    if (!of.parts.length) return null;
    const series = of.parts.map((part) => ({ label: part.name, values: part.times }));
    return { ...time(), title: "Parts of the time" + name, hint: "p95 of each; log scale", series, text: S.text.ms, log: true, csvUnit: "ms" };
  },
  // x is 1/(1 − q): each power of ten is one more nine.
  distribution(of, name) {
    if (of.distribution.length < 2) return null;
    const quantile = (x) => {
      const share = 100 * (1 - 1 / x), digits = Math.max(0, Math.ceil(Math.log10(x)) - 1);
      return x <= 1 ? "0" : +share.toFixed(Math.min(6, digits + 1)) + "";
    };
    return {
      title: "Distribution" + name, hint: "response times that were judged, by percentile; both scales are logarithmic", xLog: true, log: true, slot: 0,
      x: of.distribution.map((point) => point[0]), xName: "1/(1 − q)",
      xText: (x) => "p" + quantile(x),
      xLabel: (x) => (Math.abs(Math.log10(x) % 1) < 1e-9 ? quantile(x) + " %" : ""),
      xSpace: 30,
      series: [{ label: "response time", values: of.distribution.map((point) => point[1]), color: 0 }],
      text: S.text.ms, csvUnit: "ms",
    };
  },
  objective(index) {
    const one = S.data.objectives.find((objective) => objective.index === index);
    if (!one) return null;
    const text = { ms: S.text.ms, "%": S.text.share, "/s": S.text.rate }[one.unit];
    const shares = one.bad.map((bad, i) => (one.samples[i] ? (100 * bad) / one.samples[i] : null));
    const series = [
      { label: one.indicator, values: one.values, color: 0 },
      { label: "limit", values: one.values.map(() => one.limit), limit: true },
    ];
    return { ...time(), title: one.name + " of " + one.scope, hint: one.indicator + " of what was judged" + (one.unit === "ms" ? "; log scale" : ""), series, text, log: one.unit === "ms", csvUnit: one.unit, height: 200, shares };
  },
};

S.draw = function (figure, spec) {
  if (figure.chart) figure.chart.drop();
  figure.chart = null;
  if (spec) figure.chart = new S.Chart(figure, spec);
  else figure.hidden = true;
};

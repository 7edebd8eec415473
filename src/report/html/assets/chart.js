// One chart: a plot with its title, its series to choose, a line that says what is under the cursor, a table of its
// data, and the keyboard. uPlot draws; what it lacks for those who can't see or point stands here.
const S = window.slatest;
const sync = uPlot.sync("time");
const all = new Set();
const overTime = () => [...all].filter((chart) => chart.spec.time);
let range = null;

// Zooms every chart over time; null is the whole run.
S.zoom = function (next) {
  range = next;
  for (const chart of overTime()) chart.scale();
  const button = document.getElementById("zoom-out");
  if (button) button.disabled = !range;
  S.say(range ? "from " + S.text.at(range[0]) + " to " + S.text.at(range[1]) : "the whole run");
};

S.redraw = () => { for (const chart of all) chart.draw(); };

S.Chart = class {
  // spec: title, unit, x, xText, series [{label, values, color, off, fill, dash, bars, text}], time, log, marks, limit, xLog
  constructor(figure, spec) {
    this.figure = figure;
    this.spec = spec;
    this.shown = spec.series.map((one) => !one.off);
    const name = S.element("figcaption", {}, spec.title + " ", S.element("span", { className: "unit" }, spec.hint || ""));
    this.chips = S.element("div", { className: "chips", role: "group", "aria-label": "Shown in " + spec.title });
    this.plot = S.element("div", { className: "plot", tabIndex: 0, role: "group" });
    this.plot.setAttribute("aria-roledescription", "chart");
    this.readout = S.element("div", { className: "readout", "aria-hidden": "true" });
    const below = S.element("div", { className: "below" }, this.table(), S.element("button", { type: "button", onclick: () => this.save() }, "CSV"));
    below.lastChild.setAttribute("aria-label", "Save the data of " + spec.title + " as CSV");
    figure.replaceChildren(name, this.chips, this.plot, this.readout, below);
    figure.hidden = false;
    spec.series.forEach((one, i) => this.chip(one, i));
    this.describe();
    this.plot.addEventListener("keydown", (event) => this.key(event));
    all.add(this);
    this.draw();
    new ResizeObserver(() => {
      const width = this.plot.clientWidth;
      if (this.u && width > 0 && width !== this.u.width) this.u.setSize({ width, height: this.u.height });
    }).observe(this.plot);
  }

  drop() {
    all.delete(this);
    if (this.u) this.u.destroy();
    this.u = null;
  }

  chip(one, i) {
    const box = S.element("input", { type: "checkbox", checked: this.shown[i] });
    box.addEventListener("change", () => {
      this.shown[i] = box.checked;
      this.u.setSeries(i + 1, { show: box.checked });
      this.describe();
    });
    this.chips.append(S.element("label", {}, box, S.element("span", { className: "swatch " + (one.limit ? "limit" : "s" + (one.color ?? i)) }), one.label));
  }

  // What the chart shows, in words, for those who don't see it.
  describe() {
    const parts = this.spec.series.filter((one, i) => this.shown[i] && !one.limit).map((one) => {
      let most = null, at = 0;
      one.values.forEach((value, i) => { if (value != null && (most == null || value > most)) { most = value; at = i; } });
      return one.label + (most == null ? ": nothing" : ": up to " + this.value(one, most) + " at " + this.spec.xText(this.spec.x[at]));
    });
    this.plot.setAttribute("aria-label", this.spec.title + ". " + parts.join("; ") + ". Arrow keys read the values.");
  }

  value(one, value) { return (one.text || this.spec.text)(value); }

  draw() {
    if (this.u) this.u.destroy();
    const spec = this.spec, soft = S.css("--soft"), line = S.css("--line");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif" };
    const x = { ...axis, values: (_, splits) => splits.map((value) => (value == null ? "" : spec.xLabel(value))), space: spec.xSpace || 60, size: 34 };
    if (spec.xSplits) x.splits = spec.xSplits;
    const y = {
      ...axis,
      values: (_, splits) => splits.map((value) => (value == null ? "" : spec.text(value))),
      // Labels are of any length: the axis is as wide as the widest.
      size: (u, values, index, cycle) => (cycle > 1 ? u.axes[index]._size : 22 + 7 * Math.max(3, ...(values || []).map((text) => text.length))),
    };
    if (spec.log) y.splits = (u, index, min, max) => {
      const powers = [];
      for (let power = Math.ceil(Math.log10(min) - 1e-9); power <= Math.log10(max) + 1e-9; power++) powers.push(10 ** power);
      return powers;
    };
    const series = spec.series.map((one, i) => {
      const color = one.limit ? S.css("--fail") : S.css("--c" + (one.color ?? i));
      const made = { label: one.label, stroke: color, width: one.limit ? 1.5 : 1.6, show: this.shown[i], dash: one.limit ? [7, 4] : one.dash, spanGaps: false, points: { show: false } };
      if (one.fill) made.fill = color + "30";
      if (one.steps) made.paths = uPlot.paths.stepped({ align: 1 });
      if (one.bars) { made.paths = uPlot.paths.bars({ size: [0.9, 40], align: 1 }); made.fill = color; made.width = 0; }
      if (spec.x.length < 40 && !one.bars && !one.limit && !one.steps) made.points = { show: true, size: 4, fill: color };
      return made;
    });
    const from = spec.x[0], to = spec.x[spec.x.length - 1] + (spec.time ? spec.slot : 0);
    const low = Math.min(...spec.series.flatMap((one) => one.values.filter((value) => value > 0)));
    const options = {
      width: Math.max(200, this.plot.clientWidth), height: spec.height || 220, padding: [10, 8, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, distr: spec.xLog ? 3 : 1, log: 10, range: () => (spec.time && range ? range : [from, to]) },
        y: spec.log
          ? { distr: 3, log: 10, range: (u, min, max) => [10 ** Math.floor(Math.log10(Number.isFinite(low) ? low : 0.1)), 10 ** Math.ceil(Math.log10(Math.max(max || 1, low || 1) * 1.05))] }
          : { range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [x, y],
      series: [{}, ...series],
      cursor: {
        sync: spec.time ? { key: sync.key, setSeries: false } : undefined,
        drag: { x: !!spec.time, y: false, setScale: false },
        bind: { dblclick: () => () => { if (spec.time) S.zoom(null); return null; } },
        points: { size: 6 },
      },
      hooks: {
        drawClear: [(u) => this.marks(u, false)],
        draw: [(u) => this.marks(u, true)],
        setCursor: [(u) => this.read(u)],
        setSelect: [(u) => {
          if (!spec.time || u.select.width < 4) return;
          S.zoom([u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
      },
    };
    this.u = new uPlot(options, [spec.x, ...spec.series.map((one) => (spec.log ? one.values.map((value) => (value > 0 ? value : null)) : one.values))], this.plot);
    this.u.root.setAttribute("aria-hidden", "true");
  }

  scale() {
    if (this.u) this.u.redraw(true, true), this.u.setScale("x", this.bounds());
  }

  bounds() {
    const x = this.spec.x;
    return range ? { min: range[0], max: range[1] } : { min: x[0], max: x[x.length - 1] + this.spec.slot };
  }

  // Phases, drills and incidents: their bands behind the lines, their names before them.
  marks(u, names) {
    if (!this.spec.marks) return;
    const ctx = u.ctx, box = u.bbox, ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, box.top, box.width, box.height);
    ctx.clip();
    ctx.font = Math.round(11 * ratio) + "px system-ui, sans-serif";
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    let row = 0;
    for (const mark of this.spec.marks) {
      const left = u.valToPos(mark.from, "x", true), right = u.valToPos(mark.to, "x", true);
      if (names) {
        if (mark.kind !== "drill" && mark.kind !== "incident") continue;
        ctx.fillStyle = S.css("--ink");
        ctx.fillText(mark.label, Math.max(left, box.left) + 4 * ratio, box.top + (12 + 12 * (row++ % 3)) * ratio);
      } else if (mark.kind === "phase") {
        ctx.strokeStyle = S.css("--phase");
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        ctx.moveTo(left, box.top);
        ctx.lineTo(left, box.top + box.height);
        ctx.stroke();
      } else {
        ctx.fillStyle = S.css("--band-" + mark.kind.replace("-", ""));
        ctx.fillRect(left, box.top, Math.max(2, right - left), box.height);
      }
    }
    ctx.restore();
  }

  line(i) {
    const spec = this.spec;
    const parts = spec.series.map((one, k) => (this.shown[k] && one.values[i] != null ? one.label + " " + this.value(one, one.values[i]) : null));
    const marks = spec.marks ? spec.marks.filter((m) => m.kind !== "phase" && m.from < spec.x[i] + spec.slot && m.to > spec.x[i]).map((m) => m.kind + " " + m.label) : [];
    return [spec.xText(spec.x[i]), ...parts.filter(Boolean), ...new Set(marks)].join(" · ");
  }

  read(u) {
    const i = u.cursor.idx;
    this.readout.textContent = i == null ? "" : this.line(i);
  }

  key(event) {
    if (event.target !== this.plot) return;
    const spec = this.spec, last = spec.x.length - 1, at = this.at ?? this.u.cursor.idx ?? 0;
    const jump = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: last }[event.key];
    if (jump != null) {
      event.preventDefault();
      this.at = Math.min(last, Math.max(0, jump));
      const left = this.u.valToPos(spec.x[this.at], "x");
      if (spec.time && range && (left < 0 || left > this.u.over.clientWidth)) {
        const half = (range[1] - range[0]) / 2;
        S.zoom([spec.x[this.at] - half, spec.x[this.at] + half]);
      }
      this.u.setCursor({ left: this.u.valToPos(spec.x[this.at], "x"), top: this.u.over.clientHeight / 2 });
      this.readout.textContent = this.line(this.at);
      S.say(this.line(this.at));
    } else if (spec.time && "+=-_".includes(event.key)) {
      event.preventDefault();
      const whole = [spec.x[0], spec.x[last] + spec.slot], now = range || whole;
      const middle = spec.x[at], half = ((now[1] - now[0]) / 2) * ("+=".includes(event.key) ? 0.5 : 2);
      const next = [Math.max(whole[0], middle - half), Math.min(whole[1], middle + half)];
      S.zoom(next[0] <= whole[0] && next[1] >= whole[1] ? null : next);
    } else if (event.key === "Escape" && spec.time) {
      S.zoom(null);
    }
  }

  rows() {
    const spec = this.spec;
    return spec.x.map((x, i) => [spec.xText(x), ...spec.series.map((one) => (one.values[i] == null ? "" : this.value(one, one.values[i])))]);
  }

  table() {
    const details = S.element("details", {}, S.element("summary", {}, "As a table"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.childElementCount > 1) return;
      details.append(S.pagedTable(this.spec.title, [this.spec.xName, ...this.spec.series.map((one) => one.label)], this.rows()));
    });
    return details;
  }

  save() {
    const spec = this.spec;
    const cell = (text) => '"' + String(text).replace(/^([=+\-@\t])/, "'$1").replaceAll('"', '""') + '"';
    const head = [spec.xName, ...spec.series.map((one) => one.label + (spec.csvUnit ? " (" + spec.csvUnit + ")" : ""))];
    const lines = spec.x.map((x, i) => [x, ...spec.series.map((one) => one.values[i] ?? "")].join(","));
    const url = URL.createObjectURL(new Blob([[head.map(cell).join(","), ...lines].join("\n") + "\n"], { type: "text/csv" }));
    S.element("a", { href: url, download: S.data.run + "-" + spec.title.replace(/[^A-Za-z0-9]+/g, "-") + ".csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
};

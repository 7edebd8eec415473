// The HTML report in a real browser: Debian's Chromium, driven by Playwright. REPORTS is a folder with passed.html and
// failed.html, which tests/browser/run makes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";

const folder = process.env.REPORTS;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
let browser;

before(async () => { browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags }); });
after(async () => { await browser?.close(); });

// A page with everything that it said and asked for.
async function open(name, { width = 1440, scheme = "light", scripts = true, hash = "" } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 }, colorScheme: scheme, javaScriptEnabled: scripts, acceptDownloads: true,
    // Motion has no end that a test could wait for.
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const heard = [];
  page.on("console", (message) => heard.push(message.type() + ": " + message.text()));
  page.on("pageerror", (error) => heard.push("error: " + error.message));
  page.on("request", (request) => { if (!/^(file|blob):/.test(request.url())) heard.push("request: " + request.url()); });
  await page.goto("file://" + folder + "/" + name + hash);
  if (scripts) await page.waitForSelector("html[data-ready]");
  return { page, heard, close: () => context.close() };
}

for (const name of ["passed.html", "failed.html"]) {
  describe(name, () => {
    test("comes up without an error and without a request", async () => {
      const { page, heard, close } = await open(name);
      assert.equal(await page.locator("#charts .u-over").count(), 5);
      // Everything unfolded: each chart is drawn.
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
      await page.waitForFunction(() => document.querySelectorAll("details.operation .u-over").length > 3);
      assert.deepEqual(heard, []);
      await close();
    });

    for (const scheme of ["light", "dark"]) {
      test("axe finds nothing, " + scheme, async () => {
        const { page, heard, close } = await open(name, { scheme });
        // The policy of the page lets no script in, so axe comes in through the debugger.
        await page.evaluate(() => document.querySelectorAll("details.objective, #operation-0, figure details").forEach((one) => { one.open = true; }));
        await page.waitForSelector("#operation-0 .u-over");
        await page.evaluate(axe);
        const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
        const said = found.violations.map((one) => one.id + ": " + one.nodes.slice(0, 3).map((node) => node.html + " " + node.failureSummary).join(" | "));
        assert.deepEqual(said, []);
        assert.deepEqual(heard, []);
        await close();
      });
    }

    test("no width makes it scroll sideways", async () => {
      for (const width of [390, 768, 1440]) {
        const { page, close } = await open(name, { width });
        await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
        const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(content <= window, width + ": " + content);
        await close();
      }
    });

    test("says the same without scripts", async () => {
      const { page, close } = await open(name, { scripts: false });
      const text = await page.locator("body").innerText();
      assert.match(text, name === "passed.html" ? /PASS/ : /FAIL/);
      assert.ok((await page.locator("table.objectives tbody tr").count()) > 1);
      assert.ok((await page.locator("#operations-table tbody tr").count()) > 1);
      assert.ok(await page.locator("noscript").isVisible());
      assert.ok(await page.locator(".picture svg").isVisible());
      assert.equal(await page.locator("#charts").isVisible(), false);
      const details = page.locator("details.objective").first();
      await page.evaluate(() => 0).catch(() => 0);
      if (!(await details.isVisible())) await page.locator("details.rest > summary").click();
      await details.locator("summary").first().click();
      await close();
    });
  });
}

test("tables sort by their heads", async () => {
  const { page, close } = await open("failed.html");
  const column = async (at) => page.locator("#operations-table tbody tr").evaluateAll((rows, at) => rows.map((row) => +row.cells[at].dataset.n), at);
  const head = page.locator("#operations-table thead th").nth(1);
  await head.getByRole("button").click();
  let counts = await column(1);
  assert.deepEqual(counts, [...counts].sort((a, b) => b - a));
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  await head.getByRole("button").press("Enter");
  counts = await column(1);
  assert.deepEqual(counts, [...counts].sort((a, b) => a - b));
  assert.match(await page.locator("#live").textContent(), /sorted by count/);
  await page.locator("#filter").fill("list-tasks");
  const shown = await page.locator("#operations-table tbody tr:visible").count();
  assert.ok(shown >= 1 && shown < counts.length, String(shown));
  await close();
});

test("a chart is read with the mouse, zoomed by dragging, and all charts follow", async () => {
  const { page, close } = await open("failed.html");
  const chart = (name) => page.locator('figure[data-chart="' + name + '"]');
  const over = chart("times").locator(".u-over");
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 50);
  await page.waitForFunction(() => [...document.querySelectorAll('figure[data-chart="times"] .readout, figure[data-chart="errors"] .readout')].every((one) => one.textContent.includes("·")));
  const at = (await chart("times").locator(".readout").textContent()).split(" · ")[0];
  assert.equal((await chart("errors").locator(".readout").textContent()).split(" · ")[0], at, "one cursor for all charts");
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + 50, { steps: 5 });
  await page.mouse.up();
  const range = () => page.evaluate(() => ["times", "errors", "rate", "in-flight"].map((name) => {
    const { min, max } = document.querySelector('figure[data-chart="' + name + '"]').chart.u.scales.x;
    return [min, max].map(Math.round).join("–");
  }));
  const zoomed = new Set(await range());
  assert.equal(zoomed.size, 1, [...zoomed].join(" "));
  const [from, to] = [...zoomed][0].split("–").map(Number);
  assert.ok(from > 0 && to > from);
  await page.locator("#zoom-out").click();
  assert.match([...new Set(await range())].join(" "), /^0–\d+$/);
  await close();
});

test("a chart is read and zoomed with the keyboard, and speaks", async () => {
  const { page, close } = await open("failed.html");
  const plot = page.locator('figure[data-chart="times"] .plot');
  assert.match(await plot.getAttribute("aria-label"), /Response time.*p99: up to .* at /);
  await plot.focus();
  await page.keyboard.press("Home");
  const first = await page.locator("#live").textContent();
  assert.match(first, /^0:00 · p50 /);
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await page.locator("#live").textContent(), first);
  await page.keyboard.press("+");
  assert.match(await page.locator("#live").textContent(), /^from .* to /);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#live").textContent(), "the whole run");
  await close();
});

test("percentiles are chosen, an operation is chosen, data are had as a table and as a file", async () => {
  const { page, close } = await open("failed.html");
  const figure = page.locator('figure[data-chart="times"]');
  const shown = () => figure.evaluate((one) => one.chart.u.series.slice(1).map((series) => series.show));
  assert.deepEqual(await shown(), [true, false, true, true, false, false]);
  await figure.getByLabel("p99.9").check();
  assert.equal((await shown())[4], true);
  await page.locator("#pick-operation").selectOption({ index: 1 });
  const title = await figure.locator("figcaption").textContent();
  assert.match(title, /Response time of .+\/.+/);
  await figure.locator("summary").click();
  await figure.locator("tbody tr").nth(10).waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), figure.getByRole("button", { name: /CSV/ }).click()]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\n");
  assert.match(lines[0], /^"time","p50 \(ms\)"/);
  assert.ok(lines.length > 10);
  await close();
});

test("a link into what is folded unfolds it", async () => {
  const { page, close } = await open("failed.html", { hash: "#operation-1" });
  assert.equal(await page.locator("#operation-1").evaluate((one) => one.open), true);
  await page.waitForSelector("#operation-1 .u-over");
  await page.locator(".cause .go a").first().click();
  assert.equal(await page.locator("details.objective[open]").first().isVisible(), true);
  await close();
});

test("whoever reads the first screen knows what broke, since when, and why", async () => {
  const { page, close } = await open("failed.html");
  const cause = page.locator(".cause").first();
  const box = await cause.boundingBox();
  assert.ok(box.y + box.height < 900, "it ends at " + (box.y + box.height));
  const text = await cause.innerText();
  for (const said of [/from \d/i, /error_rate|p95/, /status 503/, /did not change|planned load/]) assert.match(text, said);
  await close();
});

test("it prints without what is not for paper", async () => {
  const { page, close } = await open("failed.html");
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.locator("nav").isVisible(), false);
  assert.equal(await page.locator("table.objectives").isVisible(), true);
  assert.ok((await page.pdf({ format: "A4" })).length > 10000);
  await close();
});

// The page comes to life. Without this it says the same, in tables.
const S = window.slatest;

async function begin() {
  document.querySelectorAll("table.sortable").forEach(S.sortable);
  S.data = await S.load();
  S.x = Array.from({ length: S.data.slots }, (_, i) => i * S.data.slot);
  document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });
  S.moreOperations();
  if (S.data.slots > 1) charts();
  else document.querySelectorAll("figure").forEach((figure) => { figure.hidden = true; });
  addEventListener("hashchange", unfold);
  unfold();
  document.documentElement.dataset.ready = "yes";
}

function charts() {
  const figure = (name) => document.querySelector('figure[data-chart="' + name + '"]');
  const pick = document.getElementById("pick-operation");
  pick.append(S.element("option", { value: "total" }, "all operations together"));
  for (const one of S.data.operations) pick.append(S.element("option", { value: one.index }, one.address));
  const chosen = () => (pick.value === "total" ? [S.data.total, ""] : [S.data.operations.find((one) => String(one.index) === pick.value), " of " + pick.selectedOptions[0].text]);
  const ofChosen = () => {
    S.draw(figure("times"), S.specs.times(...chosen()));
    S.draw(figure("distribution"), S.specs.distribution(...chosen()));
  };
  pick.addEventListener("change", ofChosen);
  ofChosen();
  for (const name of ["errors", "rate", "in-flight", "lateness"]) S.draw(figure(name), S.specs[name]());
  document.getElementById("zoom-out").addEventListener("click", () => S.zoom(null));
  // What is folded is drawn when it unfolds: a page with hundreds of charts would not come up.
  for (const part of document.querySelectorAll("details.part")) {
    const fill = () => part.open && !part.dataset.drawn && (part.dataset.drawn = "yes") && inside(part);
    part.addEventListener("toggle", fill);
    fill();
  }
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", S.redraw);
}

function inside(part) {
  for (const figure of part.querySelectorAll("figure")) {
    const kind = figure.dataset.chart;
    if (kind === "objective") {
      S.draw(figure, S.specs.objective(+figure.dataset.index));
      continue;
    }
    const of = S.data.operations.find((one) => one.index === +part.dataset.index);
    const name = of ? " of " + of.address : "";
    S.draw(figure, of ? S.specs[{ "operation-times": "times", "operation-distribution": "distribution" }[kind] || kind](of, name) : null);
  }
}

// A link into a folded part unfolds it.
function unfold() {
  let id = "";
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const part = id && document.getElementById(id);
  if (!part || part.tagName !== "DETAILS") return;
  for (let one = part; one; one = one.parentElement.closest("details")) one.open = true;
  part.scrollIntoView();
}

begin().catch((error) => {
  S.say("The charts could not be drawn: " + error.message);
  console.error(error);
});

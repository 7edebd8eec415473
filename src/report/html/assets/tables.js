// Tables: sorted by their heads, found in, and shown page by page.
const S = window.slatest;
const PAGE = 50;
const order = new Intl.Collator("en", { numeric: true });

S.sortable = function (table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = S.element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const numbers = head.classList.contains("n");
      const now = head.getAttribute("aria-sort");
      const down = now ? now === "ascending" : numbers;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows];
      const value = (row) => row.cells[column].dataset.n;
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const by = x != null && y != null ? x - y : order.compare(a.cells[column].textContent, b.cells[column].textContent);
        return down ? -by : by;
      });
      body.append(...rows);
      S.say("sorted by " + button.textContent + (down ? ", largest first" : ", smallest first"));
    });
  });
};

S.pagedTable = function (name, heads, rows) {
  let page = 0;
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const body = S.element("tbody", {});
  const where = S.element("span", {});
  const back = S.element("button", { type: "button", onclick: () => show(page - 1) }, "earlier");
  const on = S.element("button", { type: "button", onclick: () => show(page + 1) }, "later");
  const head = S.element("thead", {}, S.element("tr", {}, ...heads.map((text) => S.element("th", { scope: "col" }, text))));
  const table = S.element("table", {}, S.element("caption", {}, name), head, body);
  function show(next) {
    page = Math.min(pages - 1, Math.max(0, next));
    body.replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map((row) => S.element("tr", {}, ...row.map((cell) => S.element("td", {}, cell)))));
    where.textContent = " " + (page + 1) + " of " + pages + " ";
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
  }
  show(0);
  const scroll = S.element("div", { className: "scroll", tabIndex: 0, role: "region" }, table);
  scroll.setAttribute("aria-label", name + " as a table");
  return S.element("div", {}, scroll, ...(pages > 1 ? [S.element("div", {}, back, where, on)] : []));
};

// The operations that are only in the data, so many at a time: tens of thousands of rows would halt the page.
S.moreOperations = function () {
  const button = document.getElementById("more-operations");
  const body = document.getElementById("operations-table").tBodies[0];
  let left = S.data.rows.slice();
  const row = ([address, cells]) => S.element("tr", {}, S.element("td", {}, address), ...cells.map(([text, n]) => {
    const cell = S.element("td", { className: "n" }, text);
    cell.dataset.n = n;
    return cell;
  }));
  const take = (rows) => {
    body.append(...rows.map(row));
    if (!left.length) document.getElementById("operations-more").hidden = true;
  };
  if (button) button.addEventListener("click", () => take(left.splice(0, 500)));
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    if (wanted && left.length) {
      const found = left.filter(([address]) => address.toLowerCase().includes(wanted)).slice(0, 500);
      left = left.filter((one) => !found.includes(one));
      take(found);
    }
    for (const one of body.rows) one.hidden = wanted !== "" && !one.cells[0].textContent.toLowerCase().includes(wanted);
    for (const part of document.querySelectorAll(".operation")) part.hidden = wanted !== "" && !part.querySelector("summary").textContent.toLowerCase().includes(wanted);
  });
};

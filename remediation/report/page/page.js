"use strict";
(() => {
  document.documentElement.classList.add("js");
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("section details, details.host[open] details")].filter((each) => !each.open);
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
  const table = document.querySelector("table.matrix");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const controls = document.querySelector(".controls");
  const [search, outcome, cause] = ["search", "outcome", "cause"].map((name) => controls.querySelector(`[name=${name}]`));
  const count = controls.querySelector("output");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.dataset.text;
      const fits = words.every((word) => text.includes(word)) && (!outcome.value || row.dataset.outcome === outcome.value)
        && (!cause?.value || row.dataset.cause === cause.value);
      row.hidden = !fits;
      document.getElementById(row.dataset.host).closest("details").hidden = !fits;
      shown += fits;
    }
    count.textContent = count.dataset.text.replace("{shown}", shown).replace("{all}", rows.length);
  };
  const by = (row, index) => {
    const cell = row.cells[index];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th");
    if (!head) return;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const index = head.cellIndex, sign = down ? -1 : 1;
    rows.sort((one, other) => {
      const a = by(one, index), b = by(other, index);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    });
    body.append(...rows);
  });
  controls.addEventListener("input", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.querySelector("button").addEventListener("click", () => {
    const hosts = [...document.querySelectorAll("details.host")].filter((each) => !each.hidden);
    const open = hosts.some((each) => !each.open);
    for (const each of hosts) each.open = open;
  });
  filter();
})();

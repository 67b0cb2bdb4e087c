// SPDX-License-Identifier: Apache-2.0
"use strict";
(() => {
  const all = (what, root = document) => [...root.querySelectorAll(what)];
  const byId = (id) => document.getElementById(id);

  // A link to something that is folded away unfolds it first.
  const reveal = () => {
    let id;
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const found = id && byId(id);
    if (!found) return;
    for (let at = found; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (found.classList.contains("d") && !byId("debug").checked) byId("debug").click();
    found.scrollIntoView({ block: /^[LG]/.test(id) ? "center" : "start" });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) reveal();
  });

  // Results: by what came out, and by name.
  const buttons = all("[data-show]");
  let shown = "all";
  const filter = () => {
    const text = byId("name").value.trim().toLowerCase();
    let count = 0;
    for (const body of all("#results > table > tbody")) {
      let here = 0;
      const suite = body.rows[0].textContent.toLowerCase();
      for (const row of all("tr[data-result]", body)) {
        const fits = (shown === "all" || row.dataset.result === shown)
          && (suite.includes(text) || row.cells[1].textContent.toLowerCase().includes(text));
        row.hidden = !fits;
        here += fits;
      }
      body.hidden = !here;
      count += here;
    }
    byId("none").hidden = count > 0;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      shown = button.dataset.show;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      filter();
    });
  }
  if (byId("name")) byId("name").addEventListener("input", filter);

  // The log.
  for (const button of all("[data-fold]")) {
    button.addEventListener("click", () => {
      for (const block of all("#lines details")) block.open = button.dataset.fold === "open";
    });
  }
  byId("debug").addEventListener("change", (event) => {
    byId("lines").classList.toggle("quiet", !event.target.checked);
  });

  reveal();
})();

// The table of every number of a commit, and the history of a number that is chosen. Knows one view's data.
"use strict";

const rowName = (of) => (of.baseline ? `${of.settings} (baseline)` : of.settings);
const caseFile = (place) => versioned(`${view.history.folder}/case-${place}.json`);

function showTable() {
  const { data } = view;
  const metrics = index.metrics.filter(isMeasured);
  element("not-shown").replaceChildren(...notMeasured(index.metrics.filter((metric) => !isMeasured(metric))));
  const head = make("tr", {}, make("th", { scope: "col" }, "settings"), make("th", { scope: "col" }, "workers"),
    make("th", { scope: "col" }, "file"), ...metrics.map((metric) => make("th", { scope: "col" }, metric.label)));
  const body = make("tbody");
  let empty = 0;
  let before;
  data.cases.forEach((of, place) => {
    const bare = !metrics.some(({ name }) => isKnown(of[name]));
    empty += bare;
    const kinds = [of.baseline && "baseline", bare && "bare", !bare && before !== of.settings && "first"];
    if (!bare) before = of.settings;
    body.append(make("tr", { class: kinds.filter(Boolean).join(" ") },
      make("th", { scope: "row" }, rowName(of)), make("th", { scope: "row" }, String(of.workers)),
      make("td", {}, make("a", { href: `limits/${caseFile(place)}` }, "JSON")),
      ...metrics.map((metric) => tableCell(of, place, metric))));
  });
  const caption = make("caption", {}, `Every number of commit ${index.commits[view.commit].hash.slice(0, 8)} in this environment`);
  element("table").replaceChildren(caption, make("thead", {}, head), body);
  element("empty-label").hidden = empty === 0;
  element("empty-label").lastElementChild.textContent = `Show the ${empty} lines that have no number (n/a or not measured)`;
}

function tableCell(of, place, metric) {
  const value = of[metric.name];
  if (!isKnown(value)) return make("td", { class: "none" }, textOf(value));
  const bad = value.failed || (metric.must_be_zero && !of.baseline && value.number > 0);
  const kind = bad ? "bad" : metric.name === "track_failed_rows" && value.number > 0 ? "some" : "";
  const button = make("button", { type: "button", "aria-expanded": "false", "data-metric": metric.name,
    onclick: (event) => toggleHistory(event.currentTarget, place, metric) }, textOf(value));
  return make("td", { class: kind }, button, value.between ? make("small", {}, value.between) : null);
}

async function toggleHistory(button, place, metric) {
  const open = button.getAttribute("aria-expanded") === "true";
  for (const shown of document.querySelectorAll("tr.history")) shown.remove();
  for (const other of document.querySelectorAll("#table button[aria-expanded=true]")) other.setAttribute("aria-expanded", "false");
  if (open) return;
  button.setAttribute("aria-expanded", "true");
  const file = caseFile(place);
  const panel = make("div", { class: "panel" });
  const cell = make("td", { colspan: button.closest("tr").cells.length }, panel);
  button.closest("tr").after(make("tr", { class: "history" }, cell));
  panel.style.setProperty("--width", `${element("table").closest(".scroll").clientWidth}px`);
  try {
    showHistory(panel, await load(file), metric, file);
  } catch (error) {
    panel.append(make("p", { class: "broken" }, `The history could not be loaded (${error.message}).`));
  }
}

function showHistory(panel, history, metric, file) {
  const values = history.values[metric.name] ?? [];
  const commits = history.commits.map((place) => index.commits[place]);
  const changes = (history.changes[metric.name] ?? []).slice().reverse();
  const title = `${metric.label}, ${history.settings}, ${history.workers} workers`;
  const measured = values.filter(isNumber).length;
  panel.append(make("h3", {}, title));
  if (measured > 1) {
    const label = `${title}, at ${measured} commits; the list below has the same numbers.`;
    const place = make("div", { class: "plot", role: "img", "aria-label": label });
    const readout = make("p", { class: "readout" }, `${metric.unit}, by commit, oldest first`);
    panel.append(place, readout);
    drawHistory(place, readout, metric, values, commits);
  }
  const changed = changes.map(({ commit, since, before, after, how_sure: sure }) => make("li", {}, commitLink(index.commits[commit]),
    ` ${index.commits[commit].subject}: ${before} → ${after}` +
    (since === null ? "" : `, after ${index.commits[since].hash.slice(0, 8)}`) + ` (${sure})`));
  panel.append(changed.length ? make("p", {}, "Changed at") : make("p", {},
    ["It was measured at no commit.", "Measured at one commit only."][measured] ?? "It changed at no commit, as far as one can be sure."));
  if (changed.length) panel.append(make("ul", { class: "changes" }, ...changed));
  const points = commits.map((commit, place) => make("tr", {}, make("td", {}, commitLink(commit)), make("td", {}, day(commit)),
    make("td", {}, commit.subject), make("td", {}, textOf(values[place])),
    make("td", {}, values[place]?.between ?? ""))).reverse();
  const heads = ["commit", "date", "subject", metric.label, "99% interval"].map((text) => make("th", { scope: "col" }, text));
  panel.append(make("details", {}, make("summary", {}, commits.length === 1 ? "The commit" : `All ${commits.length} commits`),
    make("table", { class: "points" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...points))));
  panel.append(make("p", {}, make("a", { href: `limits/${file}` }, "This number and its history as JSON")));
}

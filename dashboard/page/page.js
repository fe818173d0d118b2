// The view of one commit in one environment: its sentence, pictures and numbers, and the history of a cell. Knows the
// files that limits.py writes; everything in them is put on the page as text, never as HTML. uPlot draws the pictures.
"use strict";

const version = document.body.dataset.version;
const element = (id) => document.getElementById(id);
const PICTURES = ["track_failed_rows", "track_lost_rows", "time_burst", "track_contention_factor", "track_slowest_insert",
  "track_p99_insert"];
const BASELINE = "the naive way";
let index;
let view;
const hidden = new Set();
const plots = [];

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

async function load(path) {
  const response = await fetch(`limits/${path}`, path === "index.json" ? { cache: "no-store" } : {});
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.json();
}

const versioned = (path) => `${path}?v=${index.version}`;
const isNumber = (value) => typeof value === "number" || Array.isArray(value);
const number = (value) => (Array.isArray(value) ? value[0] : typeof value === "number" ? value : null);

// ---------------------------------------------------------------------------------------------- numbers as text

function format(value, unit) {
  if (value === undefined || value === null) return "not measured";
  if (typeof value === "string") return value === "failed" ? "benchmark failed" : value;
  const amount = number(value);
  if (unit === "seconds") {
    const [scaled, name] = amount >= 1 || amount === 0 ? [amount, "s"] : amount >= 1e-3 ? [amount * 1e3, "ms"] : [amount * 1e6, "µs"];
    return `${significant(scaled)} ${name}`;
  }
  if (unit.startsWith("rows")) {
    return Number.isInteger(amount) ? String(amount) : amount >= 0.05 ? amount.toFixed(1) : amount.toPrecision(1);
  }
  return significant(amount);
}

// Three figures; whole numbers stay whole.
function significant(amount) {
  if (Number.isInteger(amount)) return String(amount);
  return Math.abs(amount) >= 100 ? amount.toFixed(0) : amount.toPrecision(3);
}

// No number here can be below 0, so asv's interval, which can, ends there.
function interval(value, unit) {
  return Array.isArray(value) ? `${format(Math.max(0, value[1]), unit)} – ${format(Math.max(0, value[2]), unit)}` : "";
}

function commitLink(commit) {
  const short = commit.hash.slice(0, 8);
  const linked = /^https?:\/\//.test(commit.url ?? "");
  return linked ? make("a", { href: commit.url }, short) : make("code", {}, short);
}

const day = (commit) => new Date(commit.date).toISOString().slice(0, 10);

// ---------------------------------------------------------------------------------------------- what is shown

function wanted() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const first = index.series.find((series) => series.folder === index.first);
  const found = index.series.find(
    (one) => one.machine === asked.get("machine") && one.environment === asked.get("environment"));
  const series = found ?? first;
  const commit = index.commits.findIndex((one) => asked.get("commit") && one.hash.startsWith(asked.get("commit")));
  const here = series.commits.includes(commit);
  const instead = (asked.has("commit") && !here) || (asked.has("machine") && !found);
  return { series, commit: here ? commit : series.newest, instead };
}

function address(series, commit) {
  const hash = index.commits[commit].hash;
  return `#${new URLSearchParams({ machine: series.machine, environment: series.environment, commit: hash })}`;
}

async function show({ series, commit, instead }) {
  view = { series, commit };
  const asked = view;
  const file = versioned(`${series.folder}/${index.commits[commit].hash}.json`);
  const data = await load(file);
  if (view !== asked) return; // another choice was made meanwhile
  view.data = data;
  data.cells = data.cells.map(([workers, settings], place) => ({ workers, settings,
    ...Object.fromEntries(Object.entries(data.values).map(([name, values]) => [name, values[place]])) }));
  showControls();
  element("headline").textContent = data.headline;
  element("baseline").textContent = data.baseline && `For comparison, ${data.baseline}.`;
  element("baseline").hidden = !data.baseline;
  showAlarms(data);
  const at = index.commits[commit];
  element("status").replaceChildren(commitLink(at), ` ${at.subject} (${day(at)}), ${data.sqlite}`,
    instead ? ". What the address names was not measured; this is what was." : "");
  const link = make("a", { href: `limits/${file}` }, "All of them as JSON");
  element("json").replaceChildren(link, `, from asv’s result ${data.result}.`);
  for (const id of ["view", "pictures", "numbers"]) element(id).hidden = false;
  for (const row of document.querySelectorAll("tr[data-series]")) {
    row.toggleAttribute("data-shown", row.dataset.series === series.folder);
  }
  showPictures();
  showTable();
  document.body.dataset.shown = `${series.folder} ${at.hash}`;
}

function showAlarms(data) {
  const newest = view.commit === view.series.commits.at(-1); // whose warnings are at the top of the page already
  const lines = newest ? [] : [...data.alarms, ...data.broken.map((name) => `benchmark failed: ${name}`)];
  element("alarms").hidden = lines.length === 0;
  element("alarms").className = data.alarms.length ? "banner lost" : "banner broken";
  const said = make("ul", {}, ...lines.map((line) => make("li", {}, line)));
  element("alarms").replaceChildren(make("strong", {}, "In this view:"), said);
}

function showControls() {
  const { series, commit } = view;
  const form = element("view");
  const options = (name, values, chosen) => {
    form.elements[name].replaceChildren(...values.map(([value, text, disabled = false]) =>
      make("option", { value, selected: value === String(chosen), disabled }, text)));
  };
  const unique = (values) => [...new Set(values)].map((value) => [value, value]);
  const here = index.series.filter((one) => one.machine === series.machine);
  options("machine", unique(index.series.map((one) => one.machine)), series.machine);
  options("python", unique(here.map((one) => one.python)), series.python);
  const same = here.filter((one) => one.python === series.python);
  options("environment", same.map((one) => [one.environment, one === series ? view.data.sqlite : one.sqlite]), series.environment);
  const all = index.commits.map((one, place) => {
    const measured = series.commits.includes(place);
    return [String(place), `${one.hash.slice(0, 8)} ${one.subject}${measured ? "" : " (not measured here)"}`, !measured];
  });
  options("commit", all.reverse(), commit);
}

function choose(event) {
  const { machine, python, environment, commit } = event.currentTarget.elements;
  const asked = event.target.name;
  // The nearest environment to what was chosen: the same machine, Python and SQLite as far as there is one.
  const score = (one) => (one.machine === machine.value ? 4 : 0) + (one.python === python.value ? 2 : 0) +
    (one.environment === environment.value ? (asked === "environment" ? 3 : 1) : 0);
  const series = [...index.series].sort((a, b) => score(b) - score(a))[0];
  const at = Number(commit.value);
  const before = series.commits.filter((place) => place <= at).at(-1) ?? series.commits[0];
  location.hash = address(series, before);
}

// ---------------------------------------------------------------------------------------------- pictures

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const settingsOf = (data) => [...new Set(data.cells.map((cell) => cell.settings))].filter((name) => name !== BASELINE);

// A line's colour and dashes by its place among all, so that as many as there are differ in both. The golden angle takes
// each hue far from those before it. A dash is long, middle or short, and after every third line one dot more follows it.
const hue = (place) => Math.round(210 + place * 137.508) % 360;
const colour = (place) => `hsl(${hue(place)} ${style("--line-saturation")} ${style("--line-lightness")})`;
const dashes = (place) =>
  (place === 0 ? [] : [[16, 9, 4][place % 3], 4, ...Array(Math.floor(place / 3)).fill([2, 4]).flat()]);

function sampleOf(place) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS(made.namespaceURI, "line");
  for (const [key, value] of Object.entries({ x2: "100%", y1: 2, y2: 2, "stroke-dasharray": dashes(place).join(" ") })) {
    line.setAttribute(key, value);
  }
  made.setAttribute("class", "sample");
  made.setAttribute("aria-hidden", "true");
  made.style.setProperty("--hue", hue(place));
  made.append(line);
  return made;
}

function showPictures() {
  const names = settingsOf(view.data);
  const boxes = names.map((name, place) => {
    const toggle = (event) => {
      if (event.target.checked) hidden.delete(name);
      else hidden.add(name);
      drawPictures();
    };
    return make("label", {}, make("input", { type: "checkbox", checked: !hidden.has(name), onchange: toggle }), sampleOf(place), name);
  });
  element("lines").replaceChildren(make("legend", {}, "Lines"), ...boxes);
  drawPictures();
}

function drawPictures() {
  for (const plot of plots.splice(0)) plot.destroy();
  const { data } = view;
  const names = settingsOf(data);
  const shown = names.filter((name) => !hidden.has(name));
  const figures = PICTURES.map((name) => index.metrics.find((metric) => metric.name === name)).filter(Boolean);
  element("charts").replaceChildren();
  for (const metric of figures) {
    const cells = data.cells.filter((cell) => shown.includes(cell.settings));
    const workers = [...new Set(cells.filter((cell) => isNumber(cell[metric.name])).map((cell) => cell.workers))].sort((a, b) => a - b);
    const told = shown.map((settings) => workers.map((count) =>
      cells.find((cell) => cell.settings === settings && cell.workers === count)?.[metric.name]));
    const failed = cells.filter((cell) => cell[metric.name] === "failed").map((cell) => `${cell.settings} at ${cell.workers}`);
    const title = `${metric.label[0].toUpperCase()}${metric.label.slice(1)}`;
    const place = make("div", { class: "plot", role: "img", "aria-label": describe(title, metric, workers, shown, told) });
    const readout = make("p", { class: "readout" }, unitText(metric));
    const notes = failed.length ? [make("p", { class: "broken" }, `Benchmark failed: ${failed.join(", ")}.`)] : [];
    element("charts").append(make("figure", {}, make("figcaption", {}, title), place, readout, ...notes));
    if (workers.length === 0) {
      place.append(make("p", { class: "none" }, shown.length ? "There is no number at this commit." : "No line is chosen."));
      continue;
    }
    plots.push(draw(place, readout, metric, workers, shown, told, names));
  }
}

const unitText = (metric) => (metric.unit === "seconds" ? "seconds, by workers" : `${metric.unit}, by workers`);

function describe(title, metric, workers, shown, told) {
  const lines = shown.map((settings, line) => {
    const known = told[line].map((value, place) => `${format(value, metric.unit)} at ${workers[place]}`);
    return `${settings}: ${known.join(", ") || "no number"}`;
  });
  return `${title} by workers. ${lines.join(". ")}. The table below has the same numbers.`;
}

function draw(place, readout, metric, workers, shown, told, names) {
  const values = told.map((line) => line.map(number));
  const counts = metric.unit.startsWith("rows");
  const logarithmic = !counts && values.flat().every((value) => value === null || value > 0);
  const series = shown.map((settings) => ({
    label: settings,
    stroke: colour(names.indexOf(settings)),
    dash: dashes(names.indexOf(settings)),
    width: 2,
    points: { show: true, size: 6, fill: colour(names.indexOf(settings)) },
  }));
  const y = counts
    ? { range: (_plot, _low, high) => [0, Math.max(1, high * 1.08)] }
    : { distr: logarithmic ? 3 : 1, ...(logarithmic ? {} : { range: (_plot, _low, high) => [0, high * 1.08 || 1] }) };
  const say = (plot) => {
    const at = plot.cursor.idx;
    const said = at === null || at === undefined ? unitText(metric) : `${workers[at]} workers: ${shown.map((settings, line) =>
      `${settings} ${format(told[line][at], metric.unit)}`).join(", ")}`;
    readout.textContent = said;
  };
  const options = {
    ...frame(place, 220),
    scales: { x: { time: false, distr: workers.length > 1 ? 3 : 1, range: [workers[0] * 0.85, workers.at(-1) * 1.15] }, y },
    axes: [
      { ...axis(), splits: () => workers, values: (_plot, ticks) => ticks.map((tick) => tick ?? ""), filter: fitting, space: 1, size: 30 },
      { ...axis(), values: ticksOf(metric), size: 62, ...(counts ? { incrs: WHOLE } : {}) },
    ],
    series: [{}, ...series],
    hooks: { setCursor: [say] },
  };
  return new uPlot(options, [workers, ...values], place);
}

// The labels that have room, the largest first.
function fitting(plot, ticks) {
  let free = Infinity;
  return ticks.map((tick) => [tick, plot.valToPos(tick, "x")]).reverse().map(([tick, at]) => {
    if (at > free) return null;
    free = at - 30;
    return tick;
  }).reverse();
}

const frame = (place, height) => ({
  width: Math.max(240, place.clientWidth),
  height,
  legend: { show: false },
  cursor: { drag: { x: false, y: false }, points: { size: 8 } },
  padding: [10, 14, 0, 0],
});

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const ticksOf = (metric) => (_plot, ticks) =>
  ticks.map((tick) => (tick === null ? "" : format(tick, metric.unit).replace(/(\.\d*?)0+(?=\s|$)/, "$1").replace(/\.(?=\s|$)/, "")));

const axis = () => ({
  stroke: style("--quiet"),
  font: "12px system-ui, sans-serif",
  grid: { stroke: style("--grid"), width: 1 },
  ticks: { stroke: style("--grid"), width: 1 },
});

// ---------------------------------------------------------------------------------------------- the table

const rowName = (cell) => (cell.settings === BASELINE ? "the naive way (baseline)" : cell.settings);

function showTable() {
  const { data } = view;
  const head = make("tr", {}, make("th", { scope: "col" }, "settings"), make("th", { scope: "col" }, "workers"),
    make("th", { scope: "col" }, "file"), ...index.metrics.map((metric) => make("th", { scope: "col" }, metric.label)));
  const body = make("tbody");
  let empty = 0;
  let before;
  data.cells.forEach((cell, row) => {
    const bare = !index.metrics.some((metric) => isNumber(cell[metric.name]) || cell[metric.name] === "failed");
    empty += bare;
    const kinds = [cell.settings === BASELINE && "baseline", bare && "bare", !bare && before !== cell.settings && "first"];
    if (!bare) before = cell.settings;
    body.append(make("tr", { class: kinds.filter(Boolean).join(" "), "data-row": row },
      make("th", { scope: "row" }, rowName(cell)), make("th", { scope: "row" }, String(cell.workers)),
      make("td", {}, make("a", { href: `limits/${versioned(`${view.series.folder}/cell-${row}.json`)}` }, "JSON")),
      ...index.metrics.map((metric) => tableCell(cell, row, metric))));
  });
  const caption = make("caption", {}, `Every number of commit ${index.commits[view.commit].hash.slice(0, 8)} in this environment`);
  element("table").replaceChildren(caption, make("thead", {}, head), body);
  element("empty-label").hidden = empty === 0;
  element("empty-label").lastElementChild.textContent = `Show the ${empty} rows that have no number (n/a or not measured)`;
}

function tableCell(cell, row, metric) {
  const value = cell[metric.name];
  const text = format(value, metric.unit);
  if (!isNumber(value) && value !== "failed") return make("td", { class: "none" }, text);
  const mustBeZero = ["track_lost_rows", "track_duplicated_rows"].includes(metric.name) && cell.settings !== BASELINE;
  const bad = value === "failed" || (mustBeZero && number(value) > 0);
  const kind = bad ? "bad" : metric.name === "track_failed_rows" && number(value) > 0 ? "some" : "";
  const button = make("button", { type: "button", "aria-expanded": "false", "data-metric": metric.name,
    onclick: (event) => toggleHistory(event.currentTarget, row, metric) }, text);
  const between = interval(value, metric.unit);
  return make("td", { class: kind }, button, between ? make("small", {}, between) : null);
}

// ---------------------------------------------------------------------------------------------- history of a cell

async function toggleHistory(button, row, metric) {
  const open = button.getAttribute("aria-expanded") === "true";
  for (const shown of document.querySelectorAll("tr.history")) shown.remove();
  for (const other of document.querySelectorAll("#table button[aria-expanded=true]")) other.setAttribute("aria-expanded", "false");
  if (open) return;
  button.setAttribute("aria-expanded", "true");
  const file = versioned(`${view.series.folder}/cell-${row}.json`);
  const panel = make("div", { class: "panel" });
  const cell = make("td", { colspan: index.metrics.length + 3 }, panel);
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
    const readout = make("p", { class: "readout" }, "by commit, oldest first");
    panel.append(place, readout);
    drawHistory(place, readout, metric, values, commits);
  }
  const changed = changes.map(({ commit, since, before, after }) => make("li", {}, commitLink(index.commits[commit]),
    ` ${index.commits[commit].subject}: ${format(before, metric.unit)} → ${format(after, metric.unit)}` +
    (since === null ? "" : `, after ${index.commits[since].hash.slice(0, 8)}`)));
  panel.append(changed.length ? make("p", {}, "Changed at") : make("p", {},
    ["It was measured at no commit.", "Measured at one commit only."][measured] ?? "It changed at no commit that was measured."));
  if (changed.length) panel.append(make("ul", { class: "changes" }, ...changed));
  const points = commits.map((commit, place) => make("tr", {}, make("td", {}, commitLink(commit)), make("td", {}, day(commit)),
    make("td", {}, commit.subject), make("td", {}, format(values[place], metric.unit)),
    make("td", {}, interval(values[place], metric.unit)))).reverse();
  const heads = ["commit", "date", "subject", metric.label, "99% interval"].map((text) => make("th", { scope: "col" }, text));
  panel.append(make("details", {}, make("summary", {}, commits.length === 1 ? "The commit" : `All ${commits.length} commits`),
    make("table", { class: "points" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...points))));
  panel.append(make("p", {}, make("a", { href: `limits/${file}` }, "This number and its history as JSON")));
}

function drawHistory(place, readout, metric, values, commits) {
  const middle = values.map(number);
  const low = values.map((value) => (Array.isArray(value) ? Math.max(0, value[1]) : null));
  const high = values.map((value) => (Array.isArray(value) ? value[2] : null));
  const line = colour(0);
  const places = commits.map((_commit, at) => at);
  const say = (plot) => {
    const at = plot.cursor.idx;
    if (at === null || at === undefined) return;
    const between = interval(values[at], metric.unit);
    readout.replaceChildren(commitLink(commits[at]), ` ${commits[at].subject}: ${format(values[at], metric.unit)}`,
      between ? ` (${between})` : "");
  };
  const options = {
    ...frame(place, 200),
    scales: { x: { time: false, range: [-0.5, commits.length - 0.5] }, y: { range: (_plot, _low, top) => [0, top * 1.08 || 1] } },
    axes: [
      { ...axis(), incrs: WHOLE, space: 80, size: 30,
        values: (_plot, ticks) => ticks.map((tick) => commits[tick]?.hash.slice(0, 8) ?? "") },
      { ...axis(), size: 62, values: ticksOf(metric) },
    ],
    series: [{}, { stroke: line, width: 2, points: { show: true, size: 6, fill: line } },
      { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } }],
    bands: [{ series: [3, 2], fill: style("--band") }],
    hooks: { setCursor: [say] },
  };
  new uPlot(options, [places, middle, low, high], place);
}

// ---------------------------------------------------------------------------------------------- start

const failed = (error) => {
  element("status").textContent = `The numbers could not be loaded (${error.message}): reload, or publish again.`;
};
const refresh = () => show(wanted()).catch(failed);

async function start() {
  if (location.protocol === "file:") return; // a browser reads no data from files: what the page holds already stays
  index = await load("index.json");
  if (index.version !== version && sessionStorage.getItem("reloaded") !== index.version) {
    sessionStorage.setItem("reloaded", index.version); // a kept page of an older publish: ask for the new one, once
    location.reload();
    return;
  }
  if (index.series.length === 0) {
    element("status").textContent = "No results were found: run make bench, then publish again.";
    return;
  }
  element("view").addEventListener("change", choose);
  element("view").addEventListener("submit", (event) => event.preventDefault());
  element("empty").addEventListener("change", (event) => element("table").toggleAttribute("data-bare", event.target.checked));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address holds what is shown
    element("answer").focus();
  });
  window.addEventListener("hashchange", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPictures);
  let width = innerWidth;
  window.addEventListener("resize", () => {
    if (width === innerWidth || !view?.data) return;
    width = innerWidth;
    drawPictures();
  });
  await show(wanted());
}

start().catch(failed);

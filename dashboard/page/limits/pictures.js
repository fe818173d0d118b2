// The pictures of a commit by number of workers, and of a number by commit; uPlot draws them. Knows one view's data.
"use strict";

const hidden = new Set();
const plots = [];

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const settingsOf = (data) => [...new Set(data.cases.filter((of) => !of.baseline).map((of) => of.settings))];

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

// The baseline has no line, and settings that were not measured have none either.
const isDrawn = (metric, name) => view.data.cases.some((of) =>
  !of.baseline && (name === undefined || of.settings === name) && isKnown(of[metric.name]));
const hasLine = (name) => index.metrics.some((metric) => metric.drawn && isDrawn(metric, name));

function showPictures() {
  const boxes = settingsOf(view.data).map((name, place) => {
    if (!hasLine(name)) return null;
    const toggle = (event) => {
      if (event.target.checked) hidden.delete(name);
      else hidden.add(name);
      drawPictures();
    };
    return make("label", {}, make("input", { type: "checkbox", checked: !hidden.has(name), onchange: toggle }), sampleOf(place), name);
  });
  element("lines").replaceChildren(make("legend", {}, "Lines"), ...boxes.filter(Boolean));
  drawPictures();
}

function drawPictures() {
  for (const plot of plots.splice(0)) plot.destroy();
  const { data } = view;
  const names = settingsOf(data);
  const shown = names.filter((name) => !hidden.has(name) && hasLine(name));
  element("charts").replaceChildren();
  const drawn = index.metrics.filter((one) => one.drawn);
  const [known, unknown] = [drawn.filter((one) => isDrawn(one)), drawn.filter((one) => !isDrawn(one))];
  element("not-drawn").replaceChildren(...notMeasured(unknown));
  for (const metric of known) {
    const cases = data.cases.filter((of) => shown.includes(of.settings));
    const measured = cases.filter((of) => isNumber(of[metric.name]));
    const workers = [...new Set(measured.map((of) => of.workers))].sort((a, b) => a - b);
    const told = shown.map((settings) => workers.map((count) =>
      cases.find((of) => of.settings === settings && of.workers === count)?.[metric.name]));
    const failed = cases.filter((of) => of[metric.name]?.failed).map((of) => `${of.settings} at ${of.workers}`);
    const title = `${metric.label[0].toUpperCase()}${metric.label.slice(1)}`;
    const place = make("div", { class: "plot", role: "img", "aria-label": describe(title, metric, workers, shown, told) });
    const readout = make("p", { class: "readout" }, unitText(metric));
    const notes = failed.length ? [make("p", { class: "broken" }, `Benchmark failed: ${failed.join(", ")}.`)] : [];
    element("charts").append(make("figure", {}, make("figcaption", {}, title), place, readout, ...notes));
    if (workers.length === 0) {
      place.append(make("p", { class: "none" }, shown.length ? "No chosen line has a number." : "No line is chosen."));
      continue;
    }
    plots.push(draw(place, readout, metric, workers, shown, told, names));
  }
}

const unitText = (metric) => `${metric.unit}, by workers`;

function describe(title, metric, workers, shown, told) {
  const lines = shown.map((settings, line) => {
    const known = told[line].map((value, place) => `${textOf(value)} at ${workers[place]}`);
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
      `${settings} ${textOf(told[line][at])}`).join(", ")}`;
    readout.textContent = said;
  };
  const options = {
    ...frame(place, 220),
    scales: { x: { time: false, distr: workers.length > 1 ? 3 : 1, range: [workers[0] * 0.85, workers.at(-1) * 1.15] }, y },
    axes: [
      { ...axis(), splits: () => workers, values: (_plot, ticks) => ticks.map((tick) => tick ?? ""), filter: fitting, space: 1, size: 30 },
      { ...axis(), values: tickTexts, size: 62, ...(counts ? { incrs: WHOLE } : {}) },
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
const tickText = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, useGrouping: false });
const tickTexts = (_plot, ticks) => ticks.map((tick) => (tick === null ? "" : tickText.format(tick)));

const axis = () => ({
  stroke: style("--quiet"),
  font: "12px system-ui, sans-serif",
  grid: { stroke: style("--grid"), width: 1 },
  ticks: { stroke: style("--grid"), width: 1 },
});

function drawHistory(place, readout, metric, values, commits) {
  const middle = values.map(number);
  const low = values.map((value) => (value?.between ? Math.max(0, value.low) : null));
  const high = values.map((value) => value?.high ?? null);
  const line = colour(0);
  const places = commits.map((_commit, at) => at);
  const say = (plot) => {
    const at = plot.cursor.idx;
    if (at === null || at === undefined) return;
    const { between } = values[at] ?? {};
    readout.replaceChildren(commitLink(commits[at]), ` ${commits[at].subject}: ${textOf(values[at])}`,
      between ? ` (${between})` : "");
  };
  const options = {
    ...frame(place, 200),
    scales: { x: { time: false, range: [-0.5, commits.length - 0.5] }, y: { range: (_plot, _low, top) => [0, top * 1.08 || 1] } },
    axes: [
      { ...axis(), incrs: WHOLE, space: 80, size: 30,
        values: (_plot, ticks) => ticks.map((tick) => commits[tick]?.hash.slice(0, 8) ?? "") },
      { ...axis(), size: 62, values: tickTexts },
    ],
    series: [{}, { stroke: line, width: 2, points: { show: true, size: 6, fill: line } },
      { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } }],
    bands: [{ series: [3, 2], fill: style("--band") }],
    hooks: { setCursor: [say] },
  };
  new uPlot(options, [places, middle, low, high], place);
}

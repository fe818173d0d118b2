// What the other scripts share: the data, and how an element is made. Knows the files that limits_data.py writes; every
// text in them is put on the page as text, never as HTML. A value has its text, and perhaps a number.
"use strict";

const version = document.body.dataset.version;
const element = (id) => document.getElementById(id);
let index;
let view;

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
const isNumber = (value) => value?.number !== undefined;
const number = (value) => value?.number ?? null;
const textOf = (value) => value?.text ?? "not measured";

const isKnown = (value) => isNumber(value) || Boolean(value?.failed);

// Whether a column of the table has anything to show: a number, or a benchmark that failed.
const isMeasured = (metric) => view.data.cases.some((of) => isKnown(of[metric.name]));

// What a line says of columns that nobody has measured here, and with which command they are.
function notMeasured(metrics) {
  if (metrics.length === 0) return [];
  const command = make("code", {}, `make bench-full ONLY=${view.history.argument}`);
  return [`Not measured at this commit: ${metrics.map((metric) => metric.label).join(", ")}. `, command, " measures them."];
}

function commitLink(commit) {
  const short = commit.hash.slice(0, 8);
  return commit.url ? make("a", { href: commit.url }, short) : make("code", {}, short);
}

const day = (commit) => new Date(commit.date).toISOString().slice(0, 10);

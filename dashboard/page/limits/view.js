// What is shown: one commit in one environment, as the address says or as it is chosen, with its sentence and warnings.
"use strict";

function wanted() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const first = index.histories.find((history) => history.folder === index.first);
  const found = index.histories.find(
    (one) => one.machine === asked.get("machine") && one.environment === asked.get("environment"));
  const history = found ?? first;
  const commit = index.commits.findIndex((one) => asked.get("commit") && one.hash.startsWith(asked.get("commit")));
  const here = history.commits.includes(commit);
  const instead = (asked.has("commit") && !here) || (asked.has("machine") && !found);
  return { history, commit: here ? commit : history.newest, instead };
}

function address(history, commit) {
  const hash = index.commits[commit].hash;
  return `#${new URLSearchParams({ machine: history.machine, environment: history.environment, commit: hash })}`;
}

async function show({ history, commit, instead }) {
  view = { history, commit };
  const asked = view;
  const file = versioned(`${history.folder}/${index.commits[commit].hash}.json`);
  const data = await load(file);
  if (view !== asked) return; // another choice was made meanwhile
  view.data = data;
  data.cases = data.cases.map((shown, place) => ({ ...shown,
    ...Object.fromEntries(Object.entries(data.values).map(([name, values]) => [name, values[place]])) }));
  showControls();
  element("headline").textContent = data.headline;
  element("baseline").textContent = data.baseline && `For comparison, ${data.baseline}.`;
  element("baseline").hidden = !data.baseline;
  showAlarms(data);
  const at = index.commits[commit];
  const bugs = data.bugs.flatMap(({ name, effect, link: href }) => [", which has the ", make("a", { href, title: effect }, name)]);
  element("status").replaceChildren(commitLink(at), ` ${at.subject} (${day(at)}), ${data.sqlite}`, ...bugs,
    instead ? ". What the address names was not measured; this is what was." : "");
  const link = make("a", { href: `limits/${file}` }, "All of them as JSON");
  element("json").replaceChildren(link, `, from asv’s result ${data.result}.`);
  for (const id of ["view", "pictures", "numbers"]) element(id).hidden = false;
  for (const row of document.querySelectorAll("tr[data-history]")) {
    row.toggleAttribute("data-shown", row.dataset.history === history.folder);
  }
  showPictures();
  showTable();
  document.body.dataset.shown = `${history.folder} ${at.hash}`;
}

function showAlarms(data) {
  const newest = view.commit === view.history.commits.at(-1); // whose warnings are at the top of the page already
  const lines = newest ? [] : [...data.alarms, ...data.broken.map((name) => `benchmark failed: ${name}`)];
  element("alarms").hidden = lines.length === 0;
  element("alarms").className = data.alarms.length ? "banner lost" : "banner broken";
  const said = make("ul", {}, ...lines.map((line) => make("li", {}, line)));
  element("alarms").replaceChildren(make("strong", {}, "In this view:"), said);
}

function showControls() {
  const { history, commit } = view;
  const form = element("view");
  const options = (name, values, chosen) => {
    form.elements[name].replaceChildren(...values.map(([value, text, disabled = false]) =>
      make("option", { value, selected: value === String(chosen), disabled }, text)));
  };
  const unique = (values) => [...new Set(values)].map((value) => [value, value]);
  const here = index.histories.filter((one) => one.machine === history.machine);
  options("machine", unique(index.histories.map((one) => one.machine)), history.machine);
  options("python", unique(here.map((one) => one.python)), history.python);
  const same = here.filter((one) => one.python === history.python);
  options("environment", same.map((one) => [one.environment, one === history ? view.data.sqlite : one.sqlite]), history.environment);
  const all = index.commits.map((one, place) => {
    const measured = history.commits.includes(place);
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
  const history = [...index.histories].sort((a, b) => score(b) - score(a))[0];
  const at = Number(commit.value);
  const before = history.commits.filter((place) => place <= at).at(-1) ?? history.commits[0];
  location.hash = address(history, before);
}

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
  if (index.histories.length === 0) {
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

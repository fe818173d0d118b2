// For asv-tachyon's page: it opens with the first environment that asv's index lists, and knows no environment that lacks
// a parameter of another. So the one with most numbers is put first, and what is lacking gets the name that asv's files
// have for it. Knows asv's index.json and the environment that copied_pages.py names.
"use strict";

const LACKING = "null"; // as in graphs/…/env-SQLITE_WRITES_DRIVER-null/…
const named = (value) => value ?? LACKING;
const first = JSON.parse(document.querySelector("meta[name=first-environment]").content);
const isFirst = (parameters) => Object.entries(parameters).every(([name, value]) => named(first[name]) === value);

function prepared(index) {
  for (const [name, values] of Object.entries(index.params)) index.params[name] = values.map(named);
  const environments = index.graph_param_list.map((parameters) =>
    Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, named(value)])));
  index.graph_param_list = [...environments.filter(isFirst), ...environments.filter((one) => !isFirst(one))];
  return index;
}

const ask = window.fetch;
window.fetch = async (address, ...more) => {
  const answer = await ask(address, ...more);
  if (!answer.ok || !String(address).endsWith("index.json")) return answer;
  return new Response(JSON.stringify(prepared(await answer.json())));
};

// How long ago the newest number was measured, by this browser's clock, and a warning where the nightly seems to have
// stopped. Needs nothing but the page, so that it is true of a page that nobody publishes any more.
"use strict";

const SILENT = 3 * 86_400_000;
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];

function showAge() {
  const time = document.querySelector("#age time");
  if (!time) return;
  const passed = Date.now() - Number(time.dataset.moment);
  time.title ||= time.textContent;
  const [unit, length] = UNITS.find(([, one]) => passed >= one) ?? ["", 1];
  const count = Math.floor(passed / length);
  time.textContent = unit ? `${count} ${unit}${count === 1 ? "" : "s"} ago` : "less than a minute ago";
  const stopped = document.getElementById("stopped");
  if (!stopped) return;
  stopped.hidden = passed <= SILENT;
  stopped.querySelector("span").textContent = `${Math.floor(passed / UNITS[0][1])} days`;
}

showAge();
setInterval(showAge, 60_000);

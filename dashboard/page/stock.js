// For asv's own page: what it calls three small jQuery plugins for, which no Python package carries. Knows that page's
// two calls of stupidtable and one of md5, and how it hands its bars to Flot.
"use strict";

// asv makes a name for the browser's storage of it, and nothing else: any text that differs will do.
window.md5 = (text) => String(text);

// Sort a table by a column at a click on its head; cells may carry data-sort-value.
const byNumber = (a, b) => (Number.isNaN(Number(a)) ? 1 : Number.isNaN(Number(b)) ? -1 : a - b);
jQuery.fn.stupidtable = function (comparers = {}) {
  this.data("comparers", comparers);
  return this.on("click", "thead th[data-sort]", function () {
    jQuery(this).stupidsort(jQuery(this).data("sort-dir") === "asc" ? "desc" : "asc");
  });
};
jQuery.fn.stupidsort = function (direction) {
  const table = this.closest("table");
  const column = this.index();
  const kind = this.data("sort");
  const compare = table.data("comparers")[kind] ?? (kind === "string" ? (a, b) => a.localeCompare(b) : byNumber);
  const key = (row) => row.cells[column].getAttribute("data-sort-value") ?? row.cells[column].textContent;
  const body = table.children("tbody");
  const rows = body.children("tr").get();
  body.append(rows.sort((a, b) => (direction === "asc" ? 1 : -1) * compare(key(a), key(b))));
  table.find("thead th").data("sort-dir", null);
  this.data("sort-dir", direction);
  table.trigger("aftertablesort", { column, direction });
  return this;
};

// Put bars of several series side by side, in the order that each series asks for.
jQuery.plot.plugins.push({
  name: "orderBars",
  version: "1.0",
  options: { series: { bars: { order: null } } },
  init(plot) {
    plot.hooks.processDatapoints.push((_plot, series, points) => {
      if (!series.bars.show || series.bars.order === null) return;
      const orders = plot.getData().filter((other) => other.bars.show && other.bars.order !== null);
      const place = orders.indexOf(series) - (orders.length - 1) / 2;
      for (let i = 0; i < points.points.length; i += points.pointsize) {
        if (points.points[i] !== null) points.points[i] += place * series.bars.barWidth;
      }
    });
  },
});

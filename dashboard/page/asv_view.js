// For asv's own page: a benchmark opens with a view that has numbers, and its legend stands beside the picture, not over
// it. Knows the first views that first_views.py wrote into asv's index, and how that page draws.
"use strict";

jQuery(() => {
  const register = jQuery.asv.register_page;
  const open = (show) => (asked) => {
    const described = jQuery.asv.main_json.benchmarks[asked.benchmark];
    if (!described) location.replace("#/"); // it has no number, or no longer exists
    else if (Object.keys(asked).length > 1) show(asked);
    else location.replace(jQuery.asv.format_hash_string({ location: [asked.benchmark], params: described.first_view }));
  };
  jQuery.asv.register_page = (name, show) => register(name, name === "graphdisplay" ? open(show) : show);
});

// A line of one commit is a point, which asv's grid does not draw.
const withPoints = (data, options) => {
  const single = data.some((line) => line.data.filter((at) => at[1] !== null).length === 1);
  return single ? { ...options, series: { ...options.series, points: { show: true } } } : options;
};

const drawPlot = jQuery.plot;
jQuery.plot = Object.assign((place, data, options) => {
  if (jQuery(place).attr("id") !== "main-graph") return drawPlot(place, data, withPoints(data, options));
  const legend = jQuery("#legend").empty();
  const drawn = drawPlot(place, data, { ...options, legend: { ...options.legend, container: legend } });
  drawn.resize(); // the legend has taken room from it
  drawn.setupGrid();
  drawn.draw();
  return drawn;
}, drawPlot);

"use strict";
(function () {
  const given = JSON.parse(document.getElementById("figures").textContent);
  const ink = "#1d2733", dim = "#5b6672", rule = "#d5dae0", paper = "#ffffff";
  const fonts = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
  const shades = ["#1f4e79", "#6b9ac4", "#b8cfe3", "#e3b778", "#c9793a", "#8c3b2a", "#9aa1a9"];
  const formats = new Map();

  function format(digits) {
    if (!formats.has(digits)) {
      const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
      formats.set(digits, new Intl.NumberFormat(given.locale, options));
    }
    return formats.get(digits);
  }

  function worded(chart, value) {
    if (value === null || value === undefined) return "–";
    if (chart.percent) return format(1).format(value * 100) + given.percent;
    return format(chart.digits).format(value) + (chart.unit ? "\u00a0" + chart.unit : "");
  }

  // Names come from messages and tables: they are shown as text, in rich text that knows no markup.
  function plain(text) {
    return String(text).replace(/[{}|]/g, " ");
  }

  function cut(text, length) {
    return text.length > length ? text.slice(0, length - 1) + "…" : text;
  }

  const along = (chart) => chart.kind !== "line";

  function axes(chart) {
    const label = { color: ink, fontFamily: fonts, fontSize: 12 };
    const names = {
      type: "category", data: chart.categories, inverse: along(chart),
      axisLine: { lineStyle: { color: dim } }, axisTick: { show: false },
      axisLabel: Object.assign({}, label, along(chart) ? { formatter: (text) => cut(text, 40), interval: 0 } : { hideOverlap: true }),
    };
    const values = {
      type: "value", max: chart.percent ? 1 : undefined, scale: chart.kind === "tornado",
      splitLine: { lineStyle: { color: rule } },
      axisLabel: Object.assign({}, label, {
        color: dim, hideOverlap: true,
        formatter: (value) => (chart.percent ? format(0).format(value * 100) + given.percent : format(value % 1 ? 1 : 0).format(value)),
      }),
    };
    return along(chart) ? { xAxis: values, yAxis: names } : { xAxis: names, yAxis: values };
  }

  function bars(chart, stack) {
    return chart.series.map((one, index) => ({
      type: "bar", name: one.name, data: one.values, stack: stack ? "all" : undefined,
      barMaxWidth: 18, color: shades[index % shades.length], emphasis: { focus: "series" },
      itemStyle: { borderColor: paper, borderWidth: stack ? 1 : 0 },
    }));
  }

  function lines(chart) {
    const marks = ["circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect"], dashes = ["solid", "dashed", "dotted"];
    const inks = ["#1f4e79", "#c9793a", "#3d7a57", "#8c3b2a", "#6b5b95", "#5b6672"];
    return chart.series.map((one, index) => ({
      type: "line", name: one.name, data: one.values, symbol: marks[index % marks.length], symbolSize: 6,
      showAllSymbol: "auto", color: inks[index % inks.length], connectNulls: false,
      lineStyle: { width: 2, type: dashes[Math.floor(index / 2) % dashes.length] }, emphasis: { focus: "series" },
    }));
  }

  // Low, likely and high: an unseen bar up to low, one up to likely, one up to high.
  function spans(chart) {
    const [low, likely, high] = chart.series;
    const step = (a, b) => a.values.map((value, i) => (value === null || b.values[i] === null ? null : b.values[i] - value));
    const bar = (name, data, style) => ({ type: "bar", stack: "span", name, data, barMaxWidth: 18, itemStyle: style, cursor: "default" });
    return [
      Object.assign(bar("", low.values, { color: "transparent" }), { silent: true }),
      bar(low.name + " – " + likely.name, step(low, likely), { color: shades[1] }),
      bar(likely.name + " – " + high.name, step(likely, high), { color: shades[0] }),
    ];
  }

  // What an input at its low and at its high end makes of the middle.
  function tornado(chart) {
    return chart.series.map((one, index) => ({
      type: "bar", name: one.name, stack: "both", barMaxWidth: 18, color: index ? shades[0] : shades[1],
      data: one.values.map((value) => (value === null ? null : value - chart.ground)),
    }));
  }

  function series(chart) {
    if (chart.kind === "line") return lines(chart);
    if (chart.kind === "range") return spans(chart);
    if (chart.kind === "tornado") return tornado(chart);
    return bars(chart, chart.kind === "stack" || chart.kind === "share");
  }

  function tip(chart) {
    return (at) => {
      const index = at[0].dataIndex;
      const rows = chart.series.filter((one) => one.values[index] !== null && (chart.kind === "range" || chart.kind === "tornado" || one.values[index] !== 0));
      return [plain(chart.categories[index]), ...rows.map((one) => plain(one.name) + ": " + worded(chart, one.values[index]))].join("\n");
    };
  }

  // The legend takes as many lines as its names need.
  function room(named, width) {
    let lines = 1, used = 0;
    for (const one of named) {
      const wide = 44 + one.name.length * 7;
      if (used && used + wide > width) { lines += 1; used = 0; }
      used += wide;
    }
    return named.length > 1 ? 20 + lines * 22 : 12;
  }

  function options(chart, width) {
    const drawn = series(chart);
    const named = drawn.filter((one) => one.name);
    const both = axes(chart);
    if (chart.kind === "tornado") {
      // Around the middle, how much more or less; the table has the sums.
      const apart = (value) => (value > 0 ? "+" : "−") + format(0).format(Math.abs(value));
      both.xAxis.axisLabel.formatter = (value) => (value === 0 ? format(0).format(chart.ground) : apart(value));
      both.xAxis.scale = false;
      both.yAxis.axisLine.onZero = false;
    }
    return Object.assign(both, {
      animation: false,
      textStyle: { fontFamily: fonts, color: ink },
      aria: { enabled: true, label: { enabled: false }, decal: { show: chart.kind === "share" || chart.kind === "stack" } },
      grid: { left: 8, right: 28, top: room(named, width), bottom: 8, containLabel: true },
      legend: named.length > 1 ? { data: named.map((one) => one.name), top: 0, left: 0, itemGap: 14, itemWidth: 20, itemHeight: 11, selectedMode: chart.kind !== "range", textStyle: { color: ink, fontFamily: fonts } } : undefined,
      tooltip: {
        trigger: "axis", renderMode: "richText", confine: true, formatter: tip(chart), axisPointer: { type: along(chart) ? "shadow" : "line" },
        backgroundColor: paper, borderColor: dim, borderWidth: 1, textStyle: { color: ink, fontFamily: fonts, fontSize: 12, lineHeight: 18 },
      },
      series: drawn,
    });
  }

  const drawn = [];
  for (const chart of given.charts) {
    const place = document.getElementById("drawn-" + chart.id);
    place.style.height = (along(chart) ? 70 + chart.categories.length * (chart.kind === "bars" ? 14 * chart.series.length + 12 : 28) : 300) + "px";
    const one = echarts.init(place, null, { renderer: "svg" });
    one.setOption(options(chart, place.clientWidth));
    place.setAttribute("data-drawn", "yes");
    drawn.push([one, chart, place]);
  }

  // On paper the drawing is made as wide as the page: a box of its own size lets it.
  function fit() {
    for (const [one, chart, place] of drawn) {
      one.resize();
      one.setOption({ grid: options(chart, place.clientWidth).grid });
      frame(place);
    }
  }

  function frame(place) {
    const svg = place.querySelector("svg");
    svg.setAttribute("viewBox", "0 0 " + svg.getAttribute("width") + " " + svg.getAttribute("height"));
  }
  drawn.forEach(([, , place]) => frame(place));
  window.addEventListener("resize", fit);

  // What is folded on the screen is part of the paper.
  const folded = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  window.addEventListener("beforeprint", () => { opened = Array.from(folded()); opened.forEach((one) => { one.open = true; }); });
  window.addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); opened = []; });

  // A link into something folded opens it.
  function reveal() {
    const place = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = place; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (place) place.scrollIntoView({ block: "center" });
  }
  window.addEventListener("hashchange", reveal);
  reveal();
})();

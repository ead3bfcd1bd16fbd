"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // For a chart of so many pixels: a phone has room for two names side by side.
  function config(width) {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    const text = { labelColor: of("--ink"), titleColor: of("--soft"), labelLimit: width < 500 ? 100 : 170 };
    return {
      view: { stroke: null },
      axis: { ...text, gridColor: of("--line"), domainColor: of("--line"), tickColor: of("--line") },
      axisX: { labelOverlap: "greedy", labelSeparation: 6 },
      legend: { ...text, labelLimit: 0, columns: Math.max(2, Math.floor(width / 150)) }, header: text, line: { color: of("--soft") }, rule: { color: of("--soft") },
      circle: { color: of("--mark") },
    };
  }

  // Charts far below are drawn when they come near: the first paint does not wait for them.
  const drawn = new Map();
  async function draw(node) {
    const spec = read(node.dataset.spec);
    drawn.get(node)?.finalize();
    const result = await vegaEmbed(node, spec, { actions: false, renderer: "svg", config: config(node.clientWidth) });
    drawn.set(node, result);
    node.dataset.drawn = "yes";
  }
  const charts = [...document.querySelectorAll(".chart")];
  const all = () => Promise.all(charts.map(draw));
  if (new URLSearchParams(location.search).has("all") || !("IntersectionObserver" in window)) {
    all();
  } else {
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting && !drawn.has(entry.target)) {
          drawn.set(entry.target, null);
          draw(entry.target);
        }
      }
    }, { rootMargin: "400px" });
    charts.forEach((node) => watcher.observe(node));
  }
  dark.addEventListener("change", () => charts.filter((node) => drawn.has(node)).forEach(draw));
  addEventListener("beforeprint", all);
  // Legends have as many columns as there is room for: a phone may be turned.
  let width = innerWidth, later;
  addEventListener("resize", () => {
    clearTimeout(later);
    later = setTimeout(() => {
      if (innerWidth !== width) charts.filter((node) => drawn.get(node)).forEach(draw);
      width = innerWidth;
    }, 200);
  });

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
      };
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      };
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? order(b, a) : order(a, b)));
      table.tBodies[0].append(...rows);
    }));
  }
})();

"use strict";
// Everything the page does: the colour scheme, figures when they come into view, the legend, sorting.

const page = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const hidden = new Set(); // architectures
const drawn = new Set(); // elements of panels

// -- the colour scheme -------------------------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null; // by the switch, until then it is the system's

function isDark() {
  return root.dataset.scheme === "dark";
}

function applyScheme() {
  root.dataset.scheme = chosen ?? (prefersDark.matches ? "dark" : "light");
  document.getElementById("scheme").textContent = isDark() ? "Light" : "Dark";
  for (const svg of document.querySelectorAll(".legend svg")) drawKey(svg);
  for (const element of drawn) draw(element);
}

function colour(light) {
  return isDark() ? page.dark[light] ?? light : light;
}

// -- figures -----------------------------------------------------------------------------------

function coloured(value) {
  if (typeof value === "string") return colour(value);
  if (Array.isArray(value)) return value; // data: no colours in it
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
}

function withLists(layout) {
  const lists = {};
  for (const key of ["shapes", "annotations"]) lists[key] = layout[key].map(coloured);
  return { ...coloured(layout), ...lists };
}

function draw(element) {
  const panel = page.panels[element.id];
  const data = panel.data.map((trace) => ({ ...coloured(trace), visible: !hidden.has(trace.meta) }));
  const layout = withLists(panel.layout);
  const config = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false, // nothing leaves the page
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
  };
  Plotly.react(element, data, layout, config);
  if (drawn.has(element)) return;
  drawn.add(element);
  element.on("plotly_click", (event) => openRun(event.points[0]));
  if (page.links.some(Boolean)) element.classList.add("linked");
}

function openRun(point) {
  if (!point.customdata) return;
  const [sweep, trial] = point.customdata;
  const link = page.links[sweep];
  if (!link) return;
  const search = encodeURIComponent(`tags.trial = '${trial}'`);
  window.open(`${link}&searchFilter=${search}`, "_blank", "noopener");
}

// -- the legend --------------------------------------------------------------------------------

const MARKS = {
  circle: "M15 2a4 4 0 1 0 .01 0z",
  square: "M11.5 2.5h7v7h-7z",
  diamond: "M15 1l5 5-5 5-5-5z",
  "triangle-up": "M15 1.5l4.5 8h-9z",
  "triangle-down": "M15 10.5l4.5-8h-9z",
  cross: "M13.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
  x: "M11 3.5L12.5 2 15 4.5 17.5 2 19 3.5 16.5 6 19 8.5 17.5 10 15 7.5 12.5 10 11 8.5 13.5 6z",
  star: "M15 .5l1.5 3.8 4 .3-3.1 2.6 1 4-3.4-2.2-3.4 2.2 1-4-3.1-2.6 4-.3z",
};
const DASHES = { solid: "", dash: "6 4", dot: "2 3", dashdot: "6 3 2 3" };

function drawKey(svg) {
  const { marker, dash } = svg.dataset;
  const line = document.createElementNS(svg.namespaceURI, "path");
  const mark = document.createElementNS(svg.namespaceURI, "path");
  line.setAttribute("d", "M0 6h30");
  line.setAttribute("stroke-dasharray", DASHES[dash]);
  line.setAttribute("stroke", colour(svg.dataset.colour));
  line.setAttribute("stroke-width", "2");
  mark.setAttribute("d", MARKS[marker]);
  mark.setAttribute("fill", colour(svg.dataset.colour));
  svg.replaceChildren(line, mark);
}

function toggle(architecture) {
  if (!hidden.delete(architecture)) hidden.add(architecture);
  for (const button of document.querySelectorAll(".legend button")) {
    button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.architecture)));
  }
  for (const element of drawn) {
    const visible = element.data.map((trace) => !hidden.has(trace.meta));
    Plotly.restyle(element, { visible });
  }
}

// -- sorting -----------------------------------------------------------------------------------

const NUMBER = /^[<>=~≥≤ ]*([+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf)/i;

function number(text) {
  const match = NUMBER.exec(text);
  if (!match) return NaN;
  const digits = match[1].replaceAll(",", "").toLowerCase();
  return digits.endsWith("inf") ? (digits.startsWith("-") ? -Infinity : Infinity) : Number(digits);
}

// What has no number where others of its column have one: "-", and "- / inf" as well.
function isNothing(text) {
  return text === "" || /^-(?![\d.i])/.test(text);
}

function sort(heading) {
  const table = heading.closest("table");
  const column = heading.cellIndex;
  const rising = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, text: row.cells[column].textContent.trim() }));
  const there = rows.filter(({ text }) => !isNothing(text));
  const numeric = there.every(({ text }) => !Number.isNaN(number(text)));
  const compare = numeric
    ? (a, b) => number(a.text) - number(b.text) || 0 // two infinities are equal
    : (a, b) => a.text.localeCompare(b.text, "en", { numeric: true });
  there.sort((a, b) => (rising ? compare(a, b) : compare(b, a)));
  const nothing = rows.filter(({ text }) => isNothing(text)); // last, whichever way
  const sorted = [...there, ...nothing].map(({ row }) => row);
  const isTotal = (row) => row.cells[0].textContent.trim() === "all";
  body.append(...sorted.filter((row) => !isTotal(row)), ...sorted.filter(isTotal));
}

// -- beginning ---------------------------------------------------------------------------------

document.getElementById("scheme").addEventListener("click", () => {
  chosen = isDark() ? "light" : "dark";
  applyScheme();
});
prefersDark.addEventListener("change", applyScheme);
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => toggle(button.dataset.architecture));
}
for (const heading of document.querySelectorAll("thead th")) {
  heading.firstElementChild.addEventListener("click", () => sort(heading));
}
applyScheme();
const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "600px" },
);
for (const element of document.querySelectorAll(".plot")) {
  element.style.minHeight = `${page.panels[element.id].layout.height}px`; // nothing moves later
  seen.observe(element);
}
window.addEventListener("beforeprint", () => {
  for (const element of document.querySelectorAll(".plot")) {
    seen.unobserve(element);
    draw(element);
  }
});

// Fetches the page again every few seconds and puts it in place of the one that is shown, with
// counters as rates and their last minutes drawn.
"use strict";

const EVERY_MS = 5000;
const FIRST_MS = 1000;
const POINTS = 40;

const totals = new Map();
const points = new Map();
let timer;

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1000 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)}\u00a0${units[unit]}/s`;
}

function percent(value) {
  return `${value.toFixed(value >= 0.05 && value < 9.95 ? 1 : 0)}\u00a0%`;
}

const shown = { bytes, percent };

// What a counter grew by in a second since the last page; nothing after a restart.
function rate(key, total, at) {
  const before = totals.get(key);
  totals.set(key, { total, at });
  if (!before || at <= before.at || total < before.total) return undefined;
  return (total - before.total) / (at - before.at);
}

function remember(key, value) {
  const list = points.get(key) ?? [];
  list.push(value);
  points.set(key, list.slice(-POINTS));
}

function takeIn(body) {
  const at = Number(body.dataset.at);
  for (const cell of body.querySelectorAll("[data-key]")) {
    const { key, total, value, unit } = cell.dataset;
    const now = total === undefined ? Number(value) : rate(key, Number(total), at);
    if (now === undefined) continue;
    if (total !== undefined) cell.textContent = shown[unit](now);
    remember(key, now);
  }
  for (const svg of body.querySelectorAll("[data-of]")) draw(svg);
}

function draw(svg) {
  const list = points.get(svg.dataset.of) ?? [];
  if (list.length < 2) return;
  const top = Math.max(Number(svg.dataset.max ?? 0), ...list) || 1;
  const x = (index) => 100 - ((list.length - 1 - index) * 100) / (POINTS - 1);
  const y = (value) => 23 - (value / top) * 22;
  const line = list.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" L");
  svg.querySelector(".line").setAttribute("d", `M${line}`);
  svg.querySelector(".area").setAttribute("d", `M${x(0).toFixed(1)},24 L${line} L100,24 Z`);
}

function say(text) {
  document.getElementById("status").textContent = text;
}

function time() {
  return new Date().toLocaleTimeString();
}

function replace(page) {
  const focusable = () => [...document.querySelectorAll("a, summary")];
  const focused = focusable().indexOf(document.activeElement);
  for (const details of document.querySelectorAll("details[open]")) {
    page.getElementById(details.id)?.setAttribute("open", "");
  }
  document.querySelector("link[rel=icon]").replaceWith(page.querySelector("link[rel=icon]"));
  document.body.replaceWith(document.adoptNode(page.body));
  focusable()[focused]?.focus({ preventScroll: true });
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    // Not location.href: it may hold the password, and then fetch refuses it.
    const answer = await fetch(location.origin + location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    takeIn(page.body);
    // Whoever is marking text to copy it keeps it.
    if (getSelection().isCollapsed) {
      document.documentElement.dataset.live = "";
      replace(page);
      say(`Live, ${time()}`);
    }
  } catch (error) {
    if (!("lost" in document.body.dataset)) say(`No answer since ${time()} (${error.message})`);
    document.body.dataset.lost = "";
  }
  timer = setTimeout(refresh, EVERY_MS);
}

document.title = `${document.body.dataset.host} \u00b7 Node Exporter`;
takeIn(document.body);
document.addEventListener("visibilitychange", refresh);
timer = setTimeout(refresh, FIRST_MS);

"""The script of the gallery's page: what is near the window is laid out, whatever the number of images."""

SCRIPT = r"""
"use strict";
const LINES = 22, GAP = 2, SPACE = 14;  // pixels: a line of text, between tiles, between identities
const MEASURES = {  // title, kind, a short title, what it is
  reference_angle: ["angle to reference", "angle", "to reference",
    "Mean angle of an identity's images to its reference."],
  consistency: ["consistency", "share", "consistency",
    "Share of an identity's images whose nearest reference is their own."],
  nearest_impostor: ["nearest neighbour", "angle", "nearest",
    "Angle of the reference to that of the nearest other identity."],
  leak_angle: ["leak angle", "angle", "leak",
    "Angle of the reference to the nearest image of the generator's training set."],
};
const by = id => document.getElementById(id);
const make = (name, more = {}, ...children) => {
  const node = Object.assign(document.createElement(name), more);
  node.append(...children);
  return node;
};
const known = {};  // name of a dataset -> what its scripts said
const state = {dataset: DATASETS[0], view: "identities", sort: "identity", falling: false, size: 0, ranges: {}};
let shown = [], grid = null, placed = new Map(), focused = null;

const gallery = {
  dataset(about) { known[about.name] = {...about, pieces: []}; },
  part(name, number, columns) { known[name].pieces[number] = columns; },
};

function load(path) {
  return new Promise((loaded, failed) => {
    document.head.append(make("script", {src: path, onload: loaded, onerror: () => failed(new Error(path))}));
  });
}

async function opened(name) {
  const folder = encodeURIComponent(name);
  if (!known[name]) await load(`${folder}/data.js`);
  const data = known[name];
  if (!data.count) {
    for (let part = 0; part < data.parts; part++)
      await load(`${folder}/part-${String(part).padStart(3, "0")}.js`);
    for (const key of Object.keys(data.pieces[0]))
      data[key === "labels" ? "kinds" : key] = data.pieces.flatMap(piece => piece[key]);
    delete data.pieces;
    data.first = new Int32Array(data.count.length);
    for (let row = 1; row < data.count.length; row++) data.first[row] = data.first[row - 1] + data.count[row - 1];
    data.rowOf = new Map(data.identity.map((number, row) => [number, row]));
    data.most = data.count.reduce((most, count) => Math.max(most, count), 1);
    data.folder = folder;
  }
  return data;
}

const number = value => String(value).padStart(5, "0");
const written = (value, kind) => value == null ? "–"
  : kind === "share" ? `${(100 * value).toFixed(0)} %` : `${value.toFixed(2)} rad`;
const inFull = (value, kind) => value == null ? "–" : kind === "share" ? `${(100 * value).toFixed(1)} %`
  : `${value.toFixed(3)} rad (cosine ${Math.cos(value).toFixed(3)})`;

function tile(data, row, place, size) {
  const index = data.first[row] + place, perSheet = data.columns * data.rows;
  const sheet = Math.floor(index / perSheet), cell = index % perSheet;
  const x = cell % data.columns, y = Math.floor(cell / data.columns);
  const box = make("button", {className: "tile", title: `${number(data.identity[row])} ${label(data, row, place)}`});
  box.setAttribute("aria-label", `Identity ${data.identity[row]}, ${label(data, row, place)}`);
  Object.assign(box.style, {
    width: `${size}px`, height: `${size}px`, backgroundSize: `${data.columns * size}px auto`,
    backgroundPosition: `${-x * size}px ${-y * size}px`,
    backgroundImage: `url("${data.folder}/${String(sheet).padStart(5, "0")}.jpg")`,
  });
  return box;
}

const label = (data, row, place) => data.labels[data.kinds[row]][place].replace("augmentation_", "variation ");

function select() {
  const data = known[state.dataset], column = state.view === "pairs" ? "nearest_impostor" : state.sort;
  let rows = Array.from(data.identity.keys());
  const parts = (state.ranges.identity || "").split(/[ ,;]+/).filter(Boolean);
  const wanted = parts.map(text => text.split("-").map(Number));
  const inside = (value, [from, to = from]) => value >= from && value <= to;
  if (wanted.length) rows = rows.filter(row => wanted.some(range => inside(data.identity[row], range)));
  for (const name of data.measures) {
    const [low, high] = state.ranges[name] || [];
    if (low) rows = rows.filter(row => data[name][row] != null && data[name][row] >= Number(low));
    if (high) rows = rows.filter(row => data[name][row] != null && data[name][row] <= Number(high));
  }
  if (state.view === "pairs") {  // a pair that is mutual is shown once
    rows = rows.filter(row => {
      const other = data.rowOf.get(data.nearest_identity[row]);
      if (data.nearest_impostor[row] == null || other === undefined) return false;
      return data.nearest_identity[other] !== data.identity[row] || row < other;
    });
  }
  const value = data[column], sign = state.falling ? -1 : 1;
  const absent = row => value[row] == null;
  rows.sort((a, b) => absent(a) - absent(b) || sign * (value[a] - value[b]) || a - b);
  shown = rows;
}

function layOut() {
  const data = known[state.dataset], width = by("stage").clientWidth, size = state.size;
  const tiles = state.view === "pairs" ? 2 : data.most;
  const across = Math.max(1, Math.min(tiles, Math.floor((width + GAP) / (size + GAP))));
  const least = tiles === 1 ? 88 : 172;  // for the text
  const block = Math.max(across * (size + GAP) - GAP, least);
  const columns = Math.max(1, Math.floor((width + SPACE) / (block + SPACE)));
  const high = LINES * (tiles === 1 ? 2 : 1) + Math.ceil(tiles / across) * (size + GAP) + SPACE;
  grid = {columns, block: columns === 1 ? width : block, high, tiles};
  by("stage").style.height = `${Math.ceil(shown.length / columns) * high}px`;
  for (const node of placed.values()) node.remove();
  placed.clear();
  draw();
}

function draw() {
  if (!grid) return;
  const data = known[state.dataset], top = -by("stage").getBoundingClientRect().top, tall = window.innerHeight;
  const from = Math.max(0, Math.floor((top - tall / 2) / grid.high)) * grid.columns;
  const to = Math.min(shown.length, Math.ceil((top + 1.5 * tall) / grid.high) * grid.columns);
  for (const [place, node] of placed)
    if (place < from || place >= to) { node.remove(); placed.delete(place); }
  for (let place = from; place < to; place++)
    if (!placed.has(place)) {
      const node = block(data, place);
      placed.set(place, node);
      by("stage").append(node);
    }
}

function block(data, place) {
  const row = shown[place], text = make("p"), tiles = make("div", {className: "tiles"}), pair = state.view === "pairs";
  const column = pair ? "nearest_impostor" : state.sort in MEASURES ? state.sort : data.measures[0];
  const value = column ? written(data[column][row], MEASURES[column][1]) : "";
  const other = pair ? data.rowOf.get(data.nearest_identity[row]) : null;
  const lines = [text], rest = data.measures.filter(name => name !== column);
  const brief = name => `${MEASURES[name][2]} ${written(data[name][row], MEASURES[name][1])}`;
  text.append(make("b", {textContent: pair ? `${number(data.identity[row])} · ${number(data.identity[other])}`
    : number(data.identity[row])}));
  if (grid.tiles === 1) lines.push(make("p", {textContent: value}));
  else text.append(`  ${pair || !column ? value : [column, ...rest].map(brief).join(" · ")}`);
  const members = pair ? [[row, 0], [other, 0]] : Array.from({length: data.count[row]}, (_, k) => [row, k]);
  members.forEach(([owner, index], position) => {
    const box = tile(data, owner, index, state.size);
    box.tabIndex = place === 0 && position === 0 ? 0 : -1;
    box.onclick = () => zoom(place, position, members);
    box.onfocus = () => { focused = [place, position]; };
    tiles.append(box);
  });
  const node = make("article", {}, ...(grid.tiles === 1 ? [tiles, ...lines] : [...lines, tiles]));
  Object.assign(node.style, {
    width: `${grid.block}px`, height: `${grid.high}px`, top: `${Math.floor(place / grid.columns) * grid.high}px`,
    left: `${(place % grid.columns) * (grid.block + SPACE)}px`,
  });
  return node;
}

function focusOn(place, position) {
  if (place < 0 || place >= shown.length) return;
  const line = Math.floor(place / grid.columns) * grid.high, stage = by("stage").getBoundingClientRect().top + scrollY;
  const covered = getComputedStyle(document.querySelector("header")).position === "sticky"
    ? document.querySelector("header").offsetHeight : 0;
  if (stage + line < scrollY + covered) scrollTo(0, stage + line - covered - 8);
  else if (stage + line + grid.high > scrollY + innerHeight) scrollTo(0, stage + line + grid.high - innerHeight + 8);
  draw();
  const boxes = placed.get(place).querySelectorAll(".tile");
  boxes[Math.min(position, boxes.length - 1)].focus({preventScroll: true});
}

function zoom(place, position, members) {
  const data = known[state.dataset], dialog = by("zoom"), [row, index] = members[position];
  const size = Math.floor(Math.min(320, (Math.min(innerWidth * .96, 704) - 52) / 2));
  const large = (owner, k, text) => {
    const image = tile(data, owner, k, size);
    image.tabIndex = -1;
    const figure = make("figure", {}, image, make("figcaption", {textContent: text}));
    figure.style.width = `${size}px`;
    return figure;
  };
  const near = data.nearest_identity && data.rowOf.get(data.nearest_identity[row]);
  const pictures = make("div", {className: "large"},
    large(row, index, `Identity ${number(data.identity[row])}, ${label(data, row, index)}`));
  if (index > 0) pictures.append(large(row, 0, "its reference"));
  else if (near !== undefined && near !== row)
    pictures.append(large(near, 0, `nearest neighbour: identity ${number(data.identity[near])}`));
  const list = make("dl");
  for (const name of data.measures) {
    const [title, kind] = MEASURES[name];
    list.append(make("dt", {textContent: title}), make("dd", {textContent: inFull(data[name][row], kind)}));
  }
  const others = make("div", {className: "tiles"});
  members.forEach(([owner, k], other) => {
    const box = tile(data, owner, k, 44);
    box.onclick = () => zoom(place, other, members);
    box.setAttribute("aria-current", other === position);
    if (other === position) box.style.outline = "3px solid var(--accent)";
    others.append(box);
  });
  const step = by => {
    const next = position + by;
    if (next >= 0 && next < members.length) return zoom(place, next, members);
    if (place + by < 0 || place + by >= shown.length) return;
    focusOn(place + by, by > 0 ? 0 : 1e9);
    document.activeElement.click();
  };
  dialog.replaceChildren(pictures, list, others, make("div", {className: "actions"},
    make("button", {textContent: "← previous", onclick: () => step(-1)}),
    make("button", {textContent: "close", autofocus: true, onclick: () => dialog.close()}),
    make("button", {textContent: "next →", onclick: () => step(1)})));
  dialog.onkeydown = event => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (by) { event.preventDefault(); step(by); }
  };
  dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
  dialog.onclose = () => focusOn(...(focused || [place, position]));
  if (!dialog.open) dialog.showModal();
}

function controls(data) {
  by("sort").replaceChildren(...["identity", ...data.measures].map(name =>
    make("option", {value: name, textContent: name === "identity" ? "number" : MEASURES[name][0]})));
  if (![...by("sort").options].some(option => option.value === state.sort)) state.sort = "identity";
  by("sort").value = state.sort;
  by("dataset").value = state.dataset;
  const pairs = data.measures.includes("nearest_impostor");
  if (!pairs) state.view = "identities";
  by("views").hidden = !pairs;
  for (const tab of by("views").children) tab.setAttribute("aria-selected", tab.dataset.view === state.view);
  by("sort").parentNode.hidden = state.view === "pairs";
  by("order").textContent = state.falling ? "↓ falling" : "↑ rising";
  by("size").value = state.size;
  const range = (name, text, unit) => {
    const inputs = ["from", "to"].map((side, end) => make("input", {
      type: "number", step: "any", placeholder: side, value: (state.ranges[name] || [])[end] || "",
      ariaLabel: `${text} ${side}`,
      oninput: event => { (state.ranges[name] ||= ["", ""])[end] = event.target.value; refresh(); },
    }));
    return make("label", {}, make("span", {textContent: text}), ...inputs, make("span", {textContent: unit}));
  };
  const search = make("input", {
    type: "search", placeholder: "7, 20-40", value: state.ranges.identity || "", ariaLabel: "Identity numbers",
    oninput: event => { state.ranges.identity = event.target.value; refresh(); },
  });
  by("ranges").replaceChildren(make("label", {}, make("span", {textContent: "identity number"}), search),
    ...data.measures.map(name => range(name, MEASURES[name][0], MEASURES[name][1] === "share" ? "0 to 1" : "rad")));
  const whole = new Intl.NumberFormat("en");
  const unseen = pairs ? data.nearest_identity.filter(near => near != null && !data.rowOf.has(near)).length : 0;
  const notes = data.measures.map(name => `${MEASURES[name][0]}: ${MEASURES[name][3]}`);
  by("notes").replaceChildren(
    make("p", {textContent: data.left_out ? `No thumbnails were made of `
      + `${whole.format(data.left_out)} more identities (gallery.most_images).` : ""}),
    make("p", {textContent: unseen ? "Nearest pairs that are left out, as the neighbour is not shown here: "
      + `${whole.format(unseen)}.` : ""}),
    make("p", {textContent: data.measures.length ? `Measured by the judge network. ${notes.join(" ")}`
      : "No judge network measured this dataset, so there is nothing to sort by but the number."}),
    make("p", {innerHTML: "Keys: <kbd>↑</kbd> <kbd>↓</kbd> <kbd>←</kbd> <kbd>→</kbd> move, <kbd>Enter</kbd> enlarges, "
      + "<kbd>Esc</kbd> closes, <kbd>/</kbd> filters."}));
}

function refresh() {
  const data = known[state.dataset], format = new Intl.NumberFormat("en");
  select();
  const what = state.view === "pairs" ? "pairs" : "identities";
  const all = state.view === "pairs" ? "" : ` of ${format.format(data.identities)}`;
  by("count").textContent = `${format.format(shown.length)}${all} ${what}, ${format.format(data.images)} images`;
  layOut();
  const kept = {dataset: state.dataset, view: state.view, sort: state.sort, ...(state.falling && {falling: 1})};
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

async function show(changes) {
  Object.assign(state, changes);
  try {
    const data = await opened(state.dataset);
    if (!state.size) state.size = Math.max(32, Math.min(160, data.side));
    controls(data);
    refresh();
    document.body.dataset.ready = state.dataset;
  } catch (error) {
    by("count").textContent = `${error.message} cannot be read: the folder of the dataset must stand beside this page.`;
  }
}

by("dataset").replaceChildren(...DATASETS.map(name => make("option", {value: name, textContent: name})));
by("dataset").onchange = event => show({dataset: event.target.value, ranges: {}}).then(() => scrollTo(0, 0));
by("sort").onchange = event => show({sort: event.target.value}).then(() => scrollTo(0, 0));
by("order").onclick = () => show({falling: !state.falling});
by("size").oninput = event => { state.size = Number(event.target.value); layOut(); };
for (const tab of by("views").children) tab.onclick = () => show({view: tab.dataset.view}).then(() => scrollTo(0, 0));
let waiting = false;
addEventListener("scroll", () => {
  if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
  waiting = true;
}, {passive: true});
addEventListener("resize", () => { if (grid) layOut(); });
addEventListener("keydown", event => {
  if (by("zoom").open || event.target.closest("select, input, dialog")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    by("filter").open = true;
    return by("ranges").querySelector("input").focus();
  }
  if (!event.key.startsWith("Arrow") || event.target.closest("header") || !shown.length) return;
  event.preventDefault();
  if (!focused) return focusOn(0, 0);
  const [place, position] = focused, boxes = placed.get(place) ? placed.get(place).querySelectorAll(".tile").length : 1;
  if (event.key === "ArrowUp") focusOn(place - grid.columns, position);
  else if (event.key === "ArrowDown") focusOn(place + grid.columns, position);
  else if (event.key === "ArrowLeft") position > 0 ? focusOn(place, position - 1) : focusOn(place - 1, 1e9);
  else position + 1 < boxes ? focusOn(place, position + 1) : focusOn(place + 1, 0);
});
const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
show({
  dataset: DATASETS.includes(asked.dataset) ? asked.dataset : DATASETS[0],
  view: asked.view === "pairs" ? "pairs" : "identities",
  sort: asked.sort in MEASURES ? asked.sort : "identity", falling: asked.falling === "1",
});
"""

// The page for people: images, what each task says about them, and where that comes from.

import { predict, useToken } from "./api.js";
import * as answers from "./answers.js";
import { $, element, say } from "./dom.js";
import { Evidence } from "./evidence.js";
import { dropped, pasted, tidy } from "./files.js";
import { Grey } from "./grey.js";
import { listen, rows } from "./keys.js";
import * as list from "./list.js";
import { open, thumbnail } from "./picture.js";
import { Stages } from "./stage.js";
import { Tasks } from "./tasks.js";

const items = []; // { file, name, frame, frames, picture, answers by frame, maps, thumb, mark, error }
let selected = -1;

const stages = new Stages([$("first"), $("second")], geometry, (dx, dy) => grey.drag(dx, dy));
const grey = new Grey(stages);
const evidence = new Evidence(stages, () => current() && { ...current(), results: answersOf(current()).results });
const tasks = new Tasks(changedTasks);

const current = () => items[selected];
const nothing = () => ({ results: [], failed: [], asked: new Set() });
const answersOf = (item) => item.answers.get(item.frame) || nothing();
const showList = () => list.show(items, selected, select, remove);

// --- images ---

// add takes files, and says which were left out.
function add({ files, left }) {
  const some = left.slice(0, 5).map((f) => f.name).join(", ") + (left.length > 5 ? " and " + (left.length - 5) + " more" : "");
  say($("left-out"), left.length > 0 ? "Left out: " + some : "");
  if (files.length === 0) return;
  const first = items.length;
  for (const file of files) {
    items.push({ file, name: file.name || "pasted image", frame: 1, frames: 1, picture: null, answers: new Map(), maps: new Map(), thumb: null, mark: "", error: "" });
  }
  showList();
  if (selected < 0) select(first);
  else work();
}

function remove(i) {
  const item = current();
  items.splice(i, 1);
  selected = items.indexOf(item);
  showList();
  if (selected < 0) select(Math.min(i, items.length - 1));
}

async function select(i) {
  selected = i;
  showList();
  const item = current();
  if (!item) {
    $("loading").hidden = $("frames").hidden = true;
    grey.show(null);
    stages.show(null);
    answer();
    return;
  }
  document.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (item.picture?.frame !== item.frame) { // nothing of the last image stays beside this one's name
    grey.show(null);
    stages.show(null);
    answer();
    $("loading").hidden = false;
  }
  await load(item);
  if (current() === item) display(item, false);
  work();
}

// load decodes the frame of an item that is to be seen. Of the others the samples are forgotten.
async function load(item) {
  if (item.picture?.frame === item.frame) return;
  const frame = item.frame;
  try {
    const picture = await open(item.file, frame);
    if (item.frame !== frame) return;
    [item.picture, item.frames, item.error] = [{ ...picture, frame }, picture.frames, ""];
    thumbnail(item.picture, item.thumb);
  } catch (e) {
    [item.picture, item.error] = [null, e.message];
    showList();
  }
  for (const other of items) if (other !== item && other !== current()) other.picture = null;
}

// display shows an item. kept says that the window stays, as from frame to frame.
function display(item, kept) {
  $("loading").hidden = true;
  $("frames").hidden = item.frames < 2;
  [$("frame").max, $("frame").value] = [item.frames, item.frame];
  $("frame-number").value = item.frame + " of " + item.frames;
  grey.show(item.picture, kept);
  stages.show(item.picture);
  answer();
}

async function toFrame(n) {
  const item = current();
  if (!item || n < 1 || n > item.frames || n === item.frame) return;
  item.frame = n;
  $("frame").value = n;
  $("frame-number").value = n + " of " + item.frames;
  stages.blank();
  answer();
  await load(item);
  if (current() !== item || item.frame !== n) return;
  display(item, true);
  clearTimeout(toFrame.later);
  toFrame.later = setTimeout(work, 400); // whoever leafs through asks nothing
}

// --- answers ---

let working = false;

// work asks about one image after the other: the one that is looked at first.
async function work() {
  if (working) return;
  working = true;
  for (;;) {
    const item = [current(), ...items].find((x) => x && !x.error && missing(x).length > 0);
    if (!item) break;
    await ask(item);
  }
  working = false;
}

function missing(item) {
  const asked = answersOf(item).asked;
  return tasks.names.filter((name) => !asked.has(name));
}

async function ask(item) {
  const [frame, names] = [item.frame, missing(item)];
  if (!item.answers.has(frame)) item.answers.set(frame, nothing());
  const found = item.answers.get(frame);
  names.forEach((name) => found.asked.add(name));
  if (item === current()) say($("status"), "Asking " + names.length + (names.length === 1 ? " task ..." : " tasks ..."));
  try {
    if (!item.thumb.dataset.drawn) await load(item);
    item.thumb.dataset.drawn = "yes";
    if (item.error) return;
    const body = await predict(item.file, frame, names);
    found.results.push(...body.results);
    found.failed.push(...body.failed);
    item.mark = answers.mark(found.results);
  } catch (e) {
    if (e.status === 401) {
      names.forEach((name) => found.asked.delete(name));
      tasks.forget(); // nothing is asked until there is a token
      listTasks();
      return;
    }
    found.failed.push({ error: e.message });
  }
  if (item === current()) answer();
  showList();
}

function answer() {
  const item = current();
  const { results, failed } = item ? answersOf(item) : nothing();
  let text = "";
  if (item && !item.error && results.length + failed.length === 0) text = tasks.names.length === 0 ? "No task is chosen." : "Asking ...";
  say($("status"), item?.error || text, Boolean(item?.error));
  const opened = new Set([...document.querySelectorAll("#answers details[open]")].map((d) => d.firstChild.textContent));
  answers.show($("answers"), results, item?.error ? [] : failed, tasks.cards, (task, label) => evidence.ask(task, label));
  document.querySelectorAll("#answers details").forEach((d) => { if (opened.has(d.firstChild.textContent)) d.open = true; });
  evidence.offer();
}

function geometry() {
  const p = current()?.picture;
  const zoom = Math.round(100 * stages.scale);
  $("geometry").textContent = p ? `${p.fullWidth} \u00d7 ${p.fullHeight}, ${p.bits} bits${p.format ? ", " + p.format : ""}; shown at ${zoom} %` : "";
  $("name").textContent = current()?.name || "";
  for (const figure of stages.figures) {
    figure.querySelector("canvas").setAttribute("aria-label", p ? current().name + ", " + p.fullWidth + " by " + p.fullHeight + " pixels" : "No image");
  }
}

// --- tasks ---

async function listTasks() {
  try {
    await tasks.load();
    say($("status"), tasks.cards.size === 0 ? "The server has no adapter that answers." : "", true);
  } catch (e) {
    say($("status"), e.status === 401 ? "The server asks for an access token." : e.message, true);
    if (e.status === 401 && !$("token-dialog").open) $("token-dialog").showModal();
    return;
  }
  if (current()) answer();
  work();
}

// changedTasks forgets answers of tasks that are no longer chosen, and asks those that are.
function changedTasks() {
  const names = new Set(tasks.names);
  for (const item of items) {
    item.answers.forEach((x) => {
      x.results = x.results.filter((r) => names.has(r.adapter.name));
      x.failed = [];
      x.asked = new Set(x.results.map((r) => r.adapter.name));
      item.mark = answers.mark(x.results);
    });
  }
  showList();
  answer();
  work();
}

// --- what buttons and keys do ---

const actions = {
  fit: () => stages.fit(),
  actual: () => stages.actual(),
  in: () => stages.zoomBy(1.25),
  out: () => stages.zoomBy(0.8),
  left: () => stages.move(60, 0),
  right: () => stages.move(-60, 0),
  up: () => stages.move(0, 60),
  down: () => stages.move(0, -60),
  invert: () => grey.invert(),
  window: () => grey.reset(),
  overlay: () => evidence.toggle(),
  help: () => $("help").showModal(),
  "previous-frame": () => toFrame((current()?.frame || 1) - 1),
  "next-frame": () => toFrame((current()?.frame || 0) + 1),
  "previous-image": () => { if (selected > 0) select(selected - 1); },
  "next-image": () => { if (selected < items.length - 1) select(selected + 1); },
};

document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", () => actions[button.dataset.do]()));
listen($("stages"), (name) => actions[name]());
$("frame").addEventListener("input", () => toFrame(Number($("frame").value)));

for (const id of ["files", "folder"]) $(id).addEventListener("change", (e) => { add(tidy([...e.target.files])); e.target.value = ""; });
$("clear").addEventListener("click", () => { items.length = 0; select(-1); });
document.addEventListener("paste", (e) => { const files = pasted(e.clipboardData); if (files.files.length > 0) add(files); });

let depth = 0; // of elements that a drag is over
const holdsFiles = (e) => e.dataTransfer && [...e.dataTransfer.types].includes("Files");
const overlaid = (d) => { depth = Math.max(d, 0); $("dropping").hidden = depth === 0; };
document.addEventListener("dragenter", (e) => { if (holdsFiles(e)) overlaid(depth + 1); });
document.addEventListener("dragleave", (e) => { if (holdsFiles(e)) overlaid(depth - 1); });
document.addEventListener("dragover", (e) => { if (holdsFiles(e)) e.preventDefault(); });
document.addEventListener("drop", async (e) => {
  if (!holdsFiles(e)) return;
  e.preventDefault();
  overlaid(0);
  add(await dropped(e.dataTransfer));
});

$("open-tasks").addEventListener("click", () => $("tasks").showModal());
$("open-token").addEventListener("click", () => $("token-dialog").showModal());
$("open-help").addEventListener("click", () => $("help").showModal());
$("print").addEventListener("click", () => window.print());
let closed = []; // cards that only the print has open
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("#answers > article .about:not([open])")];
  closed.forEach((d) => { d.open = true; });
});
addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
$("token-dialog").addEventListener("close", () => { useToken($("token").value); listTasks(); });
$("reload").addEventListener("click", listTasks);
$("keys").append(...rows().map(([keys, what]) => {
  const row = element("tr");
  row.append(element("th", keys, { scope: "row" }), element("td", what));
  return row;
}));
if (!("webkitdirectory" in document.createElement("input"))) $("folder-label").hidden = true;

showList();
listTasks();

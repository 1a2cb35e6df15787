"use strict";

// The page for people: sends the chosen images to /v1/predict and shows what the adapters say. Everything that comes
// from the server or from files is set as text, never as markup.

const $ = (id) => document.getElementById(id);
let files = [];
let previews = [];

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function headers() {
  const token = $("token").value.trim();
  return token ? { Authorization: "Bearer " + token } : {};
}

async function ask(path, options) {
  const response = await fetch(path, { ...options, headers: headers() });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || "the server answered " + response.status);
  return body;
}

async function listAdapters() {
  const box = $("adapters");
  try {
    const ready = [];
    for (let after = ""; ; ) {
      const list = await ask("v1/adapters?after=" + encodeURIComponent(after));
      ready.push(...list.adapters.filter((a) => a.current && (a.state === "READY" || a.state === "LOADING")));
      if (!list.next) break;
      after = list.next;
    }
    box.replaceChildren(...ready.map((a, i) => {
      const label = element("label");
      const check = element("input");
      check.type = "checkbox";
      check.value = a.name;
      check.checked = i === 0;
      const names = (a.labels || []).map((l) => l.name).join(", ");
      label.append(check, " " + a.name + " ", element("small", names));
      if (a.intended_use) label.title = a.intended_use;
      return label;
    }));
    if (ready.length === 0) box.textContent = "There are none that answer.";
  } catch (e) {
    box.replaceChildren(element("span", e.message, "error"));
  }
}

function choose(list) {
  files = [...list];
  previews.forEach((url) => URL.revokeObjectURL(url));
  previews = files.map((f) => URL.createObjectURL(f));
  $("hint").textContent = files.length ? files.map((f) => f.name).join(", ") : "Drop images here, or click to choose them";
  $("ask").disabled = files.length === 0;
}

function percent(p) {
  return (100 * p).toFixed(1) + " %";
}

function answer(r) {
  const box = element("article", undefined, "answer");
  const picture = element("img");
  picture.src = previews[r.image];
  picture.alt = r.file;
  const text = element("section");
  text.append(element("h2", r.adapter.name + ": " + (r.fit && r.fit.unlike ? "not like its training images, no decision" : r.decision.join(", ") || "none")));
  const table = element("table");
  r.labels.forEach((name, i) => {
    const row = table.insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = percent(r.probabilities[i]);
    const meter = element("meter");
    meter.value = r.probabilities[i];
    if (r.thresholds) meter.title = "counts as present from " + percent(r.thresholds[i]);
    row.insertCell().append(meter);
    if (r.decision.includes(name)) row.className = "present";
  });
  const seconds = r.timing.prepare_seconds + r.timing.queue_seconds + r.timing.compute_seconds + r.timing.load_seconds;
  text.append(table);
  (r.remarks || []).forEach((remark) => text.append(element("p", remark, "meta")));
  text.append(element("p", r.file + ", " + (1000 * seconds).toFixed(0) + " ms, " + r.adapter.digest, "meta"));
  box.append(picture, text);
  return box;
}

async function submit(event) {
  event.preventDefault();
  const form = new FormData();
  files.forEach((f) => form.append("image", f));
  document.querySelectorAll("#adapters input:checked").forEach((c) => form.append("adapter", c.value));
  $("ask").disabled = true;
  $("status").textContent = "asking";
  $("status").className = "";
  try {
    const body = await ask("v1/predict", { method: "POST", body: form });
    $("answers").replaceChildren(...body.results.map(answer),
      ...body.failed.map((f) => element("p", [f.file, f.adapter, f.error].filter(Boolean).join(": "), "error")));
    $("status").textContent = body.notice;
  } catch (e) {
    $("answers").replaceChildren();
    $("status").textContent = e.message;
    $("status").className = "error";
  } finally {
    $("ask").disabled = files.length === 0;
  }
}

$("images").addEventListener("change", (e) => choose(e.target.files));
$("form").addEventListener("submit", submit);
$("reload").addEventListener("click", listAdapters);
for (const kind of ["dragenter", "dragover"]) {
  $("drop").addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  $("drop").addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.remove("over"); });
}
$("drop").addEventListener("drop", (e) => choose(e.dataTransfer.files));
listAdapters();

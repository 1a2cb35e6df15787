// What the tasks say about an image, in words, bars and their cards.

import { element, percent } from "./dom.js";
import { about } from "./about.js";

// kind sorts answers: those that apply, those of which it is not known, those that do not.
export function kind(r) {
  if (!r.fit) return "unknown";
  return r.fit.unlike ? "unlike" : "like";
}

// decision says an answer in words.
export function decision(r) {
  if (kind(r) === "unlike") return "No decision: the image is not like those of the training.";
  if (r.decision.length === 0) return "No label reaches its threshold.";
  return r.decision.join(", ");
}

// mark says in a few words what the tasks that are known to apply have decided.
export function mark(results) {
  const of = (k) => results.filter((r) => kind(r) === k);
  if (of("like").length > 0) return of("like").map((r) => r.adapter.name + ": " + (r.decision.join(", ") || "none")).join("; ");
  if (of("unknown").length > 0) return "not known whether a task applies";
  return results.length > 0 ? "no task applies" : "";
}

// order puts those first that apply.
export function order(results) {
  const rank = { like: 0, unknown: 1, unlike: 2 };
  return [...results].sort((a, b) => rank[kind(a)] - rank[kind(b)] || a.adapter.name.localeCompare(b.adapter.name));
}

// show fills the place with the answers of one image. explain(adapter, label) is called when somebody asks where one comes from.
export function show(place, results, failed, cards, explain) {
  const sorted = order(results);
  const apply = sorted.filter((r) => kind(r) !== "unlike");
  const others = sorted.filter((r) => kind(r) === "unlike");
  const parts = apply.map((r) => article(r, cards.get(r.adapter.name), explain));
  if (others.length > 0) {
    const list = element("details", null, { class: "others", open: apply.length === 0 });
    list.append(element("summary", "Not for this image: " + others.map((r) => r.adapter.name).join(", ")));
    list.append(...others.map((r) => article(r, cards.get(r.adapter.name), explain)));
    parts.push(list);
  }
  parts.push(...failed.map((f) => element("p", [f.adapter, f.error].filter(Boolean).join(": "), { class: "error" })));
  place.replaceChildren(...parts);
}

function article(r, card, explain) {
  const box = element("article", null, { class: "answer " + kind(r), "data-task": r.adapter.name });
  const title = element("h3", r.adapter.name);
  box.append(title, element("p", decision(r), { class: "decision" }));
  box.append(element("p", fitText(r), { class: "fit" }));
  if (r.set) box.append(element("p", setText(r.set), { class: "set" }));
  const list = element("ul", null, { class: "labels" });
  byProbability(r).forEach((i) => list.append(label(r, i, explain)));
  box.append(list);
  (r.remarks || []).forEach((remark) => box.append(element("p", "Note: " + remark, { class: "remark" })));
  box.append(about(r, card));
  return box;
}

// byProbability returns the numbers of the labels, the most probable first; of a few they keep their order.
function byProbability(r) {
  const all = r.labels.map((_, i) => i);
  return all.length <= 3 ? all : all.sort((a, b) => r.probabilities[b] - r.probabilities[a]);
}

function fitText(r) {
  switch (kind(r)) {
    case "like": return "Like the images of its training.";
    case "unlike": return "Not like the images of its training: further from them than " + r.fit.percentile.toFixed(1) + " % of held-out ones.";
  }
  return "Whether the image is like those of its training is not known: this adapter does not say.";
}

function setText(set) {
  const names = set.labels.length > 0 ? set.labels.join(", ") : "none";
  return "Cannot be excluded, at a coverage of " + (100 * set.coverage).toFixed(0) + " %: " + names + ".";
}

function label(r, i, explain) {
  const [name, p] = [r.labels[i], r.probabilities[i]];
  const threshold = r.thresholds ? r.thresholds[i] : undefined;
  const row = element("li", null, { class: r.decision.includes(name) ? "decided" : false });
  row.append(element("span", name, { class: "name" }), element("span", percent(p), { class: "value" }));
  const words = percent(p) + (threshold === undefined ? "" : ", counts as present from " + percent(threshold));
  const bar = element("span", null, { class: "track", role: "img", "aria-label": words, title: words });
  const fill = element("span", null, { class: "fill" });
  fill.style.setProperty("width", 100 * p + "%");
  bar.append(fill);
  if (threshold !== undefined) {
    const mark = element("span", null, { class: "mark" });
    mark.style.setProperty("left", 100 * threshold + "%");
    bar.append(mark);
  }
  const button = element("button", "Where?", { type: "button", class: "where", "aria-label": "Where does " + name + " of " + r.adapter.name + " come from?" });
  button.addEventListener("click", () => explain(r.adapter.name, name));
  row.append(button, bar);
  return row;
}

// What an adapter is: its card.

import { element } from "./dom.js";

const digits = (v) => (Math.abs(v) >= 100 ? v.toFixed(0) : v.toFixed(3));

// about returns the details below an answer.
export function about(r, card) {
  const box = element("details", null, { class: "about" });
  box.append(element("summary", "About " + r.adapter.name));
  const list = element("dl");
  const row = (name, value) => {
    if (value) list.append(element("dt", name), element("dd", value));
  };
  if (card) {
    row("Intended use", card.intended_use || "Its file does not say.");
    row("Trained on", trainedOn(card.training));
    list.append(...measured(card.metrics || []));
    row("Method", card.method);
    row("Licence", card.licence);
    row("Signed by", (card.signers || []).join(", "));
  }
  row("Limits", "Measured by whoever trained it, on their data. Results may differ elsewhere. Research use only.");
  row("Digest", r.adapter.digest);
  row("Base", r.adapter.base);
  const t = r.timing;
  row("Time", (1000 * (t.prepare_seconds + t.queue_seconds + t.compute_seconds + t.load_seconds)).toFixed(0) + " ms");
  box.append(list);
  return box;
}

function trainedOn(training) {
  if (!training) return "Its file does not say.";
  const parts = [];
  if (training.data?.name) parts.push(training.data.name);
  if (training.data?.images) parts.push(training.data.images + " images");
  if (training.split) parts.push(`${training.split.train} to train, ${training.split.val} to validate, ${training.split.test} to test (${training.split.rule || "split"})`);
  if (training.time) parts.push(training.time.slice(0, 10));
  if (training.program) parts.push(training.program);
  return parts.join("; ") || "Its file does not say.";
}

// measured lists metrics over all labels, AUC first, each with its interval.
function measured(metrics) {
  const whole = metrics.filter((m) => !m.label);
  const rank = (m) => (m.name.startsWith("auc") ? 0 : 1) + (m.split === "test" ? 0 : 0.5);
  const shown = [...(whole.length > 0 ? whole : metrics)].sort((a, b) => rank(a) - rank(b)).slice(0, 6);
  return shown.flatMap((m) => {
    let text = digits(m.value);
    if (m.interval?.length === 2) text += ` (${100 * (m.level || 0.95)} % interval ${digits(m.interval[0])} to ${digits(m.interval[1])})`;
    if (m.n) text += `, ${m.n} images`;
    return [element("dt", [m.name.toUpperCase() === "AUC" ? "AUC" : m.name, m.label, m.split].filter(Boolean).join(", ")), element("dd", text)];
  });
}

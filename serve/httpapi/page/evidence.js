// Maps over the image: which task, which label, by which method; one or two side by side.

import { explain } from "./api.js";
import { $, options, percent, say } from "./dom.js";
import { order } from "./answers.js";
import { overlay } from "./overlay.js";

const methods = [["attribution", "attribution"], ["rollout", "rollout"], ["gradcam", "gradcam (fast)"], ["occlusion", "occlusion (slow)"]];

export class Evidence {
  // stages are drawn on; current returns the item that is shown, with its answers.
  constructor(stages, current) {
    this.stages = stages;
    this.current = current;
    this.on = false;
    this.turn = 0;
    options($("method"), methods);
    for (const id of ["map-label", "map-against", "map-beside", "method", "beside"]) $(id).addEventListener("change", () => this.update());
    $("map-task").addEventListener("change", () => this.offer());
    $("opacity").addEventListener("input", () => {
      stages.opacity = $("opacity").value / 100;
      stages.draw();
    });
  }

  // offer lists the tasks and labels of the image that is shown.
  offer() {
    const results = order(this.current()?.results || []);
    $("evidence").hidden = results.length === 0;
    if (results.length === 0) return this.update(); // what was chosen stays for the next image
    options($("map-task"), results.map((r) => [r.adapter.name, r.adapter.name]));
    const r = results.find((x) => x.adapter.name === $("map-task").value);
    const labels = r ? r.labels.map((l) => [l, l]) : [];
    const known = r && r.labels.includes($("map-label").value);
    options($("map-label"), labels);
    if (r && !known) $("map-label").value = r.label;
    options($("map-against"), [["", "nothing"], ...labels]);
    options($("map-beside"), labels);
    if (r && $("map-beside").value === $("map-label").value) $("map-beside").value = r.labels.find((l) => l !== $("map-label").value) || r.label;
    $("beside").disabled = labels.length < 2;
    return this.update();
  }

  // ask shows the map of a label.
  ask(task, label) {
    $("map-task").value = task;
    this.on = true;
    options($("map-label"), [[label, label]]);
    $("map-label").value = label;
    return this.offer();
  }

  toggle() {
    this.on = !this.on;
    return this.update();
  }

  // update fetches what is to be seen and shows it. What was asked for before and comes later is dropped.
  async update() {
    const [item, turn] = [this.current(), ++this.turn];
    document.querySelector("[data-do=overlay]").setAttribute("aria-pressed", String(this.on));
    const beside = this.on && $("beside").checked && !$("beside").disabled;
    this.stages.figures[1].hidden = !beside;
    $("map-beside").disabled = !$("beside").checked;
    if (!this.on || !item || $("evidence").hidden) {
      this.stages.maps = [null, null];
      this.caption(0, "");
      say($("map-status"), "");
      this.stages.draw();
      return;
    }
    const labels = [$("map-label").value, ...(beside ? [$("map-beside").value] : [])];
    say($("map-status"), "Asking where it comes from ...");
    try {
      const answers = [];
      for (const label of labels) answers.push(await this.fetch(item, label));
      if (turn !== this.turn) return;
      this.stages.maps = [0, 1].map((i) => answers[i] && { canvas: answers[i].canvas, region: answers[i].region });
      answers.forEach((a, i) => this.caption(i, captionOf(a)));
      say($("map-status"), statusOf(answers[0]));
    } catch (e) {
      if (turn !== this.turn) return;
      this.stages.maps = [null, null];
      this.caption(0, "");
      say($("map-status"), e.message, true);
    }
    this.stages.draw();
  }

  caption(i, text) {
    this.stages.figures[i].querySelector("figcaption").textContent = text;
  }

  async fetch(item, label) {
    const against = $("map-against").value;
    const how = { adapter: $("map-task").value, method: $("method").value, label, against: against === label ? "" : against };
    const key = JSON.stringify([item.frame, how]);
    if (!item.maps.has(key)) {
      const answer = await explain(item.file, item.frame, how);
      item.maps.set(key, { ...answer, canvas: overlay(answer) });
    }
    return item.maps.get(key);
  }
}

function captionOf(a) {
  return `${a.result.adapter.name}: what speaks for ${a.label}${a.against ? " rather than " + a.against : ""} (${percent(a.probability)}), ${a.method}`;
}

function statusOf(a) {
  if (!a.map.some((v) => v > 0)) return "Nothing speaks for " + a.label + ".";
  const unlike = a.result.fit?.unlike ? "The image is not like those of the training: this map says how the model fails. " : "";
  return unlike + "A map says what the answer rests on, not whether it is right. Colours go to the strongest patch of this image; the line is at half of it.";
}

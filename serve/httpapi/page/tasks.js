// The tasks that images are shown to: the adapters that answer, and which of them a person has chosen.

import { adapters } from "./api.js";
import { $, element } from "./dom.js";

export class Tasks {
  // changed is called when another choice is made.
  constructor(changed) {
    this.cards = new Map(); // by name
    this.chosen = new Set(); // names
    this.changed = changed;
    $("all").addEventListener("click", () => this.choose([...this.cards.keys()]));
    $("none").addEventListener("click", () => this.choose([]));
  }

  // load asks the server for them. At first all are chosen.
  async load() {
    const first = this.cards.size === 0 && this.chosen.size === 0;
    try {
      const found = await adapters();
      this.cards = new Map(found.adapters.map((a) => [a.name, a]));
      if (first) found.adapters.forEach((a) => this.chosen.add(a.name));
    } catch (e) {
      this.cards = new Map();
      throw e;
    } finally {
      this.show();
    }
  }

  // forget makes that nothing is asked until they are loaded again.
  forget() {
    this.cards = new Map();
  }

  // names are those that are asked.
  get names() {
    return [...this.chosen].filter((name) => this.cards.has(name));
  }

  choose(names) {
    this.chosen = new Set(names);
    this.show();
    this.changed();
  }

  show() {
    $("adapters").replaceChildren(...[...this.cards.values()].map((a) => this.row(a)));
    $("open-tasks").textContent = "Tasks: " + this.names.length + " of " + this.cards.size;
  }

  row(a) {
    const label = element("label");
    const check = element("input", null, { type: "checkbox", value: a.name });
    check.checked = this.chosen.has(a.name);
    check.addEventListener("change", () => {
      if (check.checked) this.chosen.add(a.name);
      else this.chosen.delete(a.name);
      $("open-tasks").textContent = "Tasks: " + this.names.length + " of " + this.cards.size;
      this.changed();
    });
    label.append(check, " " + a.name + " ", element("small", (a.labels || []).map((l) => l.name).join(", ")));
    if (a.intended_use) label.append(element("small", a.intended_use, { class: "use" }));
    return label;
  }
}

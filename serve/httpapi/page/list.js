// The list of images.

import { $, element } from "./dom.js";

// show fills it. select and remove are called with the number of an image.
export function show(items, selected, select, remove) {
  $("list").replaceChildren(...items.map((item, i) => {
    const row = element("li");
    const button = element("button", null, { type: "button", class: "item", "aria-current": i === selected ? "true" : false, title: item.name });
    item.thumb ||= element("canvas", null, { width: 96, height: 96, "aria-hidden": "true" });
    const text = element("span", null, { class: "about-item" });
    text.append(element("span", item.name, { class: "file" }), element("span", item.error || item.mark, { class: item.error ? "error" : "mark-text" }));
    button.append(item.thumb, text);
    button.addEventListener("click", () => select(i));
    const away = element("button", "\u00d7", { type: "button", class: "remove", "aria-label": "Remove " + item.name });
    away.addEventListener("click", () => remove(i));
    row.append(button, away);
    return row;
  }));
  $("clear").hidden = items.length < 2;
  $("empty").hidden = items.length > 0;
  $("bar").hidden = items.length === 0;
}

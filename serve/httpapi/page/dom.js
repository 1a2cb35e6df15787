// Elements of the page. Everything that comes from the server or from files is set as text, never as markup.

export const $ = (id) => document.getElementById(id);

// element makes an element with a text and attributes.
export function element(name, text, attributes = {}) {
  const e = document.createElement(name);
  if (text !== undefined && text !== null) e.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  }
  return e;
}

// options fills a select and keeps what was chosen, if it is still there.
export function options(select, list) {
  const chosen = select.value;
  select.replaceChildren(...list.map(([value, text]) => element("option", text, { value })));
  if (list.some(([value]) => value === chosen)) select.value = chosen;
}

// percent rounds to a tenth, but nothing to all or nothing.
export function percent(p) {
  if (p > 0.9995 && p < 1) return "> 99.9 %";
  if (p < 0.0005 && p > 0) return "< 0.1 %";
  return (100 * p).toFixed(1) + " %";
}

export function say(place, text, bad) {
  place.textContent = text;
  place.classList.toggle("error", Boolean(bad));
}

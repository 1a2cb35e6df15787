// Keys of the viewer. They work while the image has the focus, so that they are in nobody's way.

const list = [
  [["+", "="], "in", "larger"],
  [["-"], "out", "smaller"],
  [["0"], "fit", "whole image"],
  [["1"], "actual", "pixels of the image"],
  [["ArrowLeft"], "left", "move"],
  [["ArrowRight"], "right", "move"],
  [["ArrowUp"], "up", "move"],
  [["ArrowDown"], "down", "move"],
  [["i"], "invert", "swap black and white"],
  [["w"], "window", "window of the file"],
  [["["], "previous-frame", "frame before"],
  [["]"], "next-frame", "next frame"],
  [["PageUp", "k"], "previous-image", "image before"],
  [["PageDown", "j"], "next-image", "next image"],
  [["m"], "overlay", "show or hide the map"],
  [["?"], "help", "this list"],
];

const names = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", PageUp: "page up", PageDown: "page down" };

// listen calls act with the name of what a key does.
export function listen(place, act) {
  place.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const found = list.find(([keys]) => keys.includes(e.key) || keys.includes(e.key.toLowerCase()));
    if (!found) return;
    e.preventDefault();
    act(found[1]);
  });
}

// rows are what the help lists.
export function rows() {
  const merged = new Map();
  for (const [keys, , what] of list) {
    merged.set(what, [...(merged.get(what) || []), ...keys.map((k) => names[k] || k)]);
  }
  return [...merged].map(([what, keys]) => [keys.join("  "), what]);
}

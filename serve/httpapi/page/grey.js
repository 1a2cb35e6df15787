// The window through which the picture is seen: its samples from black to white, and whether these are swapped.

import { $ } from "./dom.js";
import { render } from "./picture.js";

export class Grey {
  constructor(stages) {
    this.stages = stages;
    this.picture = null;
    [this.low, this.high, this.inverted] = [0, 255, false];
    for (const id of ["level", "width"]) $(id).addEventListener("input", () => this.set(Number($("level").value), Number($("width").value)));
  }

  // show takes another picture; kept says that it is seen as the last one is.
  show(picture, kept) {
    this.picture = picture;
    if (picture && !kept) this.reset();
    else this.draw();
  }

  reset() {
    if (!this.picture) return;
    [this.low, this.high, this.inverted] = [this.picture.low, this.picture.high, false];
    this.draw();
  }

  invert() {
    this.inverted = !this.inverted;
    this.draw();
  }

  // set chooses level and width, in thousandths of the picture's samples.
  set(level, width) {
    if (!this.picture) return;
    const [least, most] = this.picture.range;
    const half = Math.max((width / 1000) * (most - least), 1) / 2;
    const middle = least + (level / 1000) * (most - least);
    [this.low, this.high] = [middle - half, middle + half];
    this.draw();
  }

  // drag is what the mouse does: sideways the width, up and down the level.
  drag(dx, dy) {
    this.set(Number($("level").value) - 2 * dy, Math.max(Number($("width").value) + 2 * dx, 1));
  }

  draw() {
    const p = this.picture;
    this.stages.rendered = p && render(p, this.low, this.high, this.inverted);
    if (p) {
      const span = p.range[1] - p.range[0];
      $("width").value = (1000 * (this.high - this.low)) / span;
      $("level").value = (1000 * ((this.low + this.high) / 2 - p.range[0])) / span;
    }
    document.querySelector("[data-do=invert]").setAttribute("aria-pressed", String(this.inverted));
    this.stages.draw();
  }
}

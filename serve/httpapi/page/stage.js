// The view of the image, once or twice side by side: one zoom and one place for all of them.

const mostZoom = 64; // screen pixels for one of the image

export class Stages {
  // figures are those of the page; changed is called after every drawing, windowed(dx, dy) when somebody drags the window.
  constructor(figures, changed, windowed) {
    this.figures = figures;
    this.changed = changed;
    this.windowed = windowed;
    this.picture = null;
    this.rendered = null;
    this.maps = [null, null]; // { canvas, region } over each
    this.opacity = 1;
    this.fitted = true;
    [this.scale, this.x, this.y] = [1, 0, 0]; // screen pixels for one of the image, and which of it is in the middle
    this.pointers = new Map();
    for (const figure of figures) this.listen(figure.querySelector("canvas"));
    new ResizeObserver(() => this.draw()).observe(figures[0]);
    matchMedia("print").addEventListener("change", () => this.draw());
  }

  // show changes the picture; another one of the same size keeps zoom and place.
  show(picture) {
    const same = picture && this.picture && picture.fullWidth === this.picture.fullWidth && picture.fullHeight === this.picture.fullHeight;
    this.picture = picture;
    if (!same) this.fitted = true;
    this.draw();
  }

  // blank shows nothing until the next picture, and keeps zoom and place.
  blank() {
    this.rendered = null;
    this.maps = [null, null];
    this.draw();
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  fit() {
    this.fitted = true;
    this.draw();
  }

  actual() {
    this.zoomTo(1);
  }

  // toggle changes between the whole image and its pixels.
  toggle(at) {
    if (this.fitted) this.zoomTo(1, at);
    else this.fit();
  }

  // zoomTo keeps what lies at a place of the canvas, in screen pixels from its middle, where it is.
  zoomTo(scale, at = [0, 0]) {
    if (!this.picture) return;
    const to = Math.min(Math.max(scale, this.fitScale() / 4), mostZoom);
    this.x += at[0] / this.scale - at[0] / to;
    this.y += at[1] / this.scale - at[1] / to;
    this.scale = to;
    this.fitted = false;
    this.draw();
  }

  zoomBy(factor, at) {
    this.zoomTo(this.scale * factor, at);
  }

  // move moves the image by screen pixels.
  move(dx, dy) {
    if (!this.picture) return;
    this.x = Math.min(Math.max(this.x - dx / this.scale, 0), this.picture.fullWidth);
    this.y = Math.min(Math.max(this.y - dy / this.scale, 0), this.picture.fullHeight);
    this.fitted = false;
    this.draw();
  }

  fitScale() {
    const canvas = this.figures[0].querySelector("canvas");
    return Math.min((canvas.clientWidth * this.ratio) / this.picture.fullWidth, (canvas.clientHeight * this.ratio) / this.picture.fullHeight) || 1;
  }

  draw() {
    if (this.picture && this.fitted) {
      [this.scale, this.x, this.y] = [this.fitScale(), this.picture.fullWidth / 2, this.picture.fullHeight / 2];
    }
    this.figures.forEach((figure, i) => {
      if (!figure.hidden) this.drawOne(figure.querySelector("canvas"), this.maps[i]);
    });
    this.changed();
  }

  drawOne(canvas, map) {
    const [w, h] = [Math.round(canvas.clientWidth * this.ratio), Math.round(canvas.clientHeight * this.ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    canvas.classList.toggle("moved", !this.fitted);
    const c = canvas.getContext("2d");
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, w, h);
    if (!this.picture || !this.rendered) return;
    const { fullWidth, fullHeight } = this.picture;
    c.setTransform(this.scale, 0, 0, this.scale, w / 2 - this.x * this.scale, h / 2 - this.y * this.scale);
    c.imageSmoothingEnabled = this.scale < 3; // pixels are seen as such
    c.imageSmoothingQuality = "high";
    c.drawImage(this.rendered, 0, 0, fullWidth, fullHeight);
    if (map) this.drawMap(c, map, fullWidth, fullHeight);
  }

  drawMap(c, { canvas, region }, width, height) {
    c.save();
    c.beginPath();
    c.rect(0, 0, width, height);
    c.clip();
    c.globalAlpha = this.opacity;
    c.imageSmoothingEnabled = true;
    c.drawImage(canvas, region.x, region.y, region.width, region.height);
    c.restore();
    const whole = region.x <= 0.5 && region.y <= 0.5 && region.x + region.width >= width - 0.5 && region.y + region.height >= height - 0.5;
    if (whole) return;
    c.save(); // what the model has not seen
    c.beginPath();
    c.rect(0, 0, width, height);
    c.rect(region.x, region.y, region.width, region.height);
    c.clip("evenodd");
    c.fillStyle = "rgb(20 22 26 / 60%)";
    c.fillRect(0, 0, width, height);
    c.strokeStyle = "rgb(168 172 178 / 50%)";
    c.lineWidth = 1 / this.scale;
    c.beginPath();
    const step = 12 / this.scale;
    for (let at = -height; at < width; at += step) {
      c.moveTo(at, height);
      c.lineTo(at + height, 0);
    }
    c.stroke();
    c.restore();
  }

  // at is the place of an event, in screen pixels from the middle of the canvas.
  at(event) {
    const box = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - box.left - box.width / 2) * this.ratio, (event.clientY - box.top - box.height / 2) * this.ratio];
  }

  listen(canvas) {
    canvas.addEventListener("wheel", (e) => {
      if (!this.picture) return;
      e.preventDefault();
      this.zoomBy(Math.exp(-e.deltaY * (e.deltaMode === 1 ? 0.05 : 0.0015)), this.at(e));
    }, { passive: false });
    canvas.addEventListener("dblclick", (e) => this.toggle(this.at(e)));
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
    canvas.addEventListener("pointerdown", (e) => {
      canvas.setPointerCapture(e.pointerId);
      this.pointers.set(e.pointerId, { at: this.at(e), window: e.shiftKey || e.button === 2 });
    });
    canvas.addEventListener("pointermove", (e) => this.dragged(e));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => this.pointers.delete(e.pointerId));
  }

  dragged(e) {
    const pointer = this.pointers.get(e.pointerId);
    if (!pointer) return;
    const [from, to] = [pointer.at, this.at(e)];
    pointer.at = to;
    if (this.pointers.size === 2) {
      const other = [...this.pointers.entries()].find(([id]) => id !== e.pointerId)[1].at;
      const length = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      this.zoomBy(length(to) / length(from), [(to[0] + other[0]) / 2, (to[1] + other[1]) / 2]);
      this.move((to[0] - from[0]) / 2, (to[1] - from[1]) / 2);
      return;
    }
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    if (pointer.window) this.windowed(dx / this.ratio, dy / this.ratio);
    else if (!this.fitted || e.pointerType === "mouse") this.move(dx, dy);
  }
}

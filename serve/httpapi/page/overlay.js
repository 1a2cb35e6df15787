// A map of patches as a picture that lies over the image: colours by strength, and a line at half of the strongest.

import { heat, opacity } from "./heat.js";

// side is that of the picture of a map, in pixels; it is stretched over the region of the image.
const side = 448;

// overlay returns a canvas for a map, which the server's answer has as numbers of patches, row by row.
export function overlay(answer) {
  const { map, grid } = answer;
  const strongest = Math.max(0, ...map);
  const strengths = new Float32Array(side * side);
  if (strongest > 0) {
    const axis = Array.from({ length: side }, (_, i) => {
      const at = ((i + 0.5) / side) * grid - 0.5;
      const low = Math.floor(at);
      return { low: clamp(low, grid), high: clamp(low + 1, grid), share: at - low };
    });
    axis.forEach((r, y) => axis.forEach((c, x) => {
      const top = map[r.low * grid + c.low] * (1 - c.share) + map[r.low * grid + c.high] * c.share;
      const bottom = map[r.high * grid + c.low] * (1 - c.share) + map[r.high * grid + c.high] * c.share;
      strengths[y * side + x] = Math.max(0, top * (1 - r.share) + bottom * r.share) / strongest;
    }));
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const v = strengths[y * side + x];
      const line = strongest > 0 ? contour(strengths, x, y) : 0;
      const [r, g, b] = heat(v);
      image.data.set([mix(r, 255, line), mix(g, 255, line), mix(b, 255, line), 255 * Math.max(opacity(v), line)], 4 * (y * side + x));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const clamp = (i, grid) => Math.min(Math.max(i, 0), grid - 1);
const mix = (a, b, share) => a + (b - a) * share;

// contour is how much of a pixel the line covers, from its distance to where strengths cross one half.
function contour(strengths, x, y) {
  const [x0, x1, y0, y1] = [Math.max(x - 1, 0), Math.min(x + 1, side - 1), Math.max(y - 1, 0), Math.min(y + 1, side - 1)];
  const dx = (strengths[y * side + x1] - strengths[y * side + x0]) / (x1 - x0);
  const dy = (strengths[y1 * side + x] - strengths[y0 * side + x]) / (y1 - y0);
  const slope = Math.hypot(dx, dy);
  if (slope === 0) return 0;
  return 0.9 * Math.min(Math.max(1.1 - Math.abs(strengths[y * side + x] - 0.5) / slope, 0), 1);
}

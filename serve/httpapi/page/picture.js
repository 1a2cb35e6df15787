// A picture: its samples, and how they become what is seen. Browsers show most formats themselves; of others, and of more than
// 8 bits, the server gives the samples.

import { preview } from "./api.js";

// largest is the longest side that is decoded here; browsers refuse larger canvases.
const largest = 8192;

// open decodes a frame of a file.
export async function open(file, frame) {
  if (await shown(file)) {
    try {
      return fromBitmap(await createImageBitmap(file));
    } catch {
      // a format that this browser does not have, or a damaged file: the server says which
    }
  }
  return fromSamples(await preview(file, frame));
}

// shown tells by a file's first bytes whether a browser shows all of it.
async function shown(file) {
  const head = new Uint8Array(await file.slice(0, 32).arrayBuffer());
  const begins = (...bytes) => bytes.every((b, i) => b < 0 || head[i] === b);
  if (begins(0x89, 0x50, 0x4e, 0x47)) return head[24] <= 8;
  return begins(0xff, 0xd8, 0xff) || begins(0x47, 0x49, 0x46, 0x38) || begins(0x42, 0x4d) ||
    begins(0x52, 0x49, 0x46, 0x46, -1, -1, -1, -1, 0x57, 0x45, 0x42, 0x50);
}

function fromBitmap(bitmap) {
  const scale = Math.min(1, largest / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const size = { fullWidth: bitmap.width, fullHeight: bitmap.height, width: canvas.width, height: canvas.height };
  bitmap.close();
  return { ...size, top: 255, low: 0, high: 255, frame: 1, frames: 1, bits: 8, canvas, step: 4, colour: true, samples: null, range: [0, 255] };
}

function fromSamples(p) {
  let [least, most] = [Infinity, 0];
  for (const v of p.samples) {
    if (v < least) least = v;
    if (v > most) most = v;
  }
  return { width: p.width, height: p.height, fullWidth: p.full_width, fullHeight: p.full_height, top: p.bits === 16 ? 65535 : 255, low: p.low, high: p.high,
    frame: p.frame, frames: p.frames, bits: p.bits, format: p.format, canvas: null, step: p.channels, colour: p.channels === 3, samples: p.samples,
    range: [Math.min(least, p.low), Math.max(most, p.high, least + 1)] };
}

// render draws the picture through a window of samples, and returns a canvas.
export function render(p, low, high, inverted) {
  if (p.canvas && low === 0 && high === 255 && !inverted) return p.canvas;
  if (!p.samples) p.samples = p.canvas.getContext("2d").getImageData(0, 0, p.width, p.height).data;
  const table = new Uint8Array(p.top + 1);
  for (let v = 0; v <= p.top; v++) {
    const level = Math.round(255 * Math.min(Math.max((v - low) / Math.max(high - low, 1), 0), 1));
    table[v] = inverted ? 255 - level : level;
  }
  const out = document.createElement("canvas");
  [out.width, out.height] = [p.width, p.height];
  const context = out.getContext("2d");
  const image = context.createImageData(p.width, p.height);
  const [data, samples, step] = [image.data, p.samples, p.step];
  for (let i = 0, from = 0; i < data.length; i += 4, from += step) {
    data[i] = table[samples[from]];
    data[i + 1] = p.colour ? table[samples[from + 1]] : data[i];
    data[i + 2] = p.colour ? table[samples[from + 2]] : data[i];
    data[i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return out;
}

// thumbnail draws a small picture of it into a canvas.
export function thumbnail(p, canvas) {
  const scale = Math.min(canvas.width / p.width, canvas.height / p.height);
  const [w, h] = [p.width * scale, p.height * scale];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(render(p, p.low, p.high, false), (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
}

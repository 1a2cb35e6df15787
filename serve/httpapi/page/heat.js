// Colours of strengths from 0 to 1, as package explain/overlay has them: lightness grows evenly, hue turns from violet over
// red to yellow, in OKLCH. Order survives grey print and colour blindness.

const table = Array.from({ length: 256 }, (_, i) => colour(i / 255));

export function heat(v) {
  return table[Math.round(Math.min(Math.max(v, 0), 1) * 255)];
}

// opacity is how much of the heat covers the image: nothing where it is weak.
export function opacity(v) {
  const t = Math.min(Math.max((v - 0.08) / 0.72, 0), 1);
  return 0.62 * t * t * (3 - 2 * t);
}

function colour(t) {
  const [lightness, hue] = [0.30 + 0.64 * t, ((295 + 165 * t) * Math.PI) / 180];
  for (let chroma = 0.26; ; chroma -= 0.002) { // into what a screen can show
    const c = oklch(lightness, chroma, hue);
    if (c || chroma <= 0) return c || [0, 0, 0];
  }
}

function oklch(l, c, h) {
  const [a, b] = [c * Math.cos(h), c * Math.sin(h)];
  const x = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const y = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const z = (l - 0.0894841775 * a - 1.2914855480 * b) ** 3;
  const linear = [4.0767416621 * x - 3.3077115913 * y + 0.2309699292 * z, -1.2684380046 * x + 2.6097574011 * y - 0.3413193965 * z,
    -0.0041960863 * x - 0.7034186147 * y + 1.7076147010 * z];
  if (linear.some((v) => v < -1e-6 || v > 1 + 1e-6)) return null;
  return linear.map((v) => {
    v = Math.min(Math.max(v, 0), 1);
    return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
  });
}

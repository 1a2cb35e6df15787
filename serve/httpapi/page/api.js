// What is asked of the server. The names of files stay here.

let token = "";

export function useToken(text) {
  token = text.trim();
}

// send returns a response, or throws what the server says is wrong.
async function send(path, form) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const response = await fetch(path, form ? { method: "POST", body: form, headers } : { headers });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const error = new Error(body.error?.replace(/^image 0: /, "") || "the server answered " + response.status);
  error.status = response.status;
  error.wait = Number(response.headers.get("Retry-After")) || 0;
  throw error;
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// patient asks again when the server is busy and says when to come back.
async function patient(path, form) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(path, form);
    } catch (e) {
      if (!(e.status === 429 || e.status === 503) || attempt === 5) throw e;
      await pause(Math.min(e.wait || 1, 10));
    }
  }
}

function formOf(file, frame, fields) {
  const form = new FormData();
  for (const [name, value] of fields) {
    if (value) form.append(name, value);
  }
  if (frame > 1) form.append("frame", String(frame));
  form.append("image", file, "image");
  return form;
}

// adapters returns all that answer, with their cards.
export async function adapters() {
  const found = [];
  for (let after = ""; ; ) {
    const list = await (await patient("v1/adapters?after=" + encodeURIComponent(after))).json();
    found.push(...list.adapters.filter((a) => a.current && (a.state === "READY" || a.state === "LOADING")));
    if (!list.next) return { adapters: found, base: list.base };
    after = list.next;
  }
}

export async function predict(file, frame, names) {
  return (await patient("v1/predict", formOf(file, frame, names.map((name) => ["adapter", name])))).json();
}

export async function explain(file, frame, how) {
  return (await patient("v1/explain", formOf(file, frame, Object.entries(how)))).json();
}

// preview returns the samples of an image that the browser cannot show, and what they are.
export async function preview(file, frame) {
  const response = await patient("v1/preview", formOf(file, frame, []));
  const length = Number(response.headers.get("Inference-Header-Content-Length"));
  const body = await response.arrayBuffer();
  const info = JSON.parse(new TextDecoder().decode(body.slice(0, length)));
  const raw = body.slice(length);
  if (info.bits === 8) return { ...info, samples: new Uint8Array(raw) };
  const view = new DataView(raw); // the lower byte comes first, whatever this machine does
  const samples = new Uint16Array(raw.byteLength / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getUint16(2 * i, true);
  return { ...info, samples };
}

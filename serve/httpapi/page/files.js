// Files that a person gives: dropped, pasted, chosen, in folders.

// mostFiles bounds what one drop may bring.
const mostFiles = 2000;

// dropped returns the files of a drop, those in folders included.
export async function dropped(transfer) {
  const entries = [...transfer.items].filter((i) => i.kind === "file").map((i) => i.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return tidy([...transfer.files]);
  const files = [];
  for (const entry of entries) await collect(entry, files);
  return tidy(files);
}

async function collect(entry, files) {
  if (files.length >= mostFiles) return;
  if (entry.isFile) {
    files.push(await new Promise((done, failed) => entry.file(done, failed)));
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a folder is read in parts
    const part = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (part.length === 0) return;
    part.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    for (const inner of part) await collect(inner, files);
  }
}

export function pasted(clipboard) {
  return tidy([...clipboard.files]);
}

// tidy leaves out what is surely no image: hidden files, tables, texts. All else may be one: DICOM objects have any name.
export function tidy(files) {
  const other = /\.(csv|tsv|txt|md|json|xml|html?|pdf|docx?|xlsx?|zip|tar|gz|7z|exe|py|ini|log|safetensors)$/i;
  return files.filter((f) => !f.name.startsWith(".") && f.name !== "DICOMDIR" && f.name !== "Thumbs.db" && (files.length === 1 || !other.test(f.name))).slice(0, mostFiles);
}

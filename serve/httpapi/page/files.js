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
  if (files.length > mostFiles) return;
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

// tidy tells files that may be images from those that surely are none: hidden ones, tables, texts. DICOM objects have any name.
export function tidy(all) {
  const other = /\.(csv|tsv|txt|md|json|xml|html?|pdf|docx?|xlsx?|zip|tar|gz|7z|exe|py|ini|log|safetensors)$/i;
  const may = (f) => !f.name.startsWith(".") && f.name !== "DICOMDIR" && f.name !== "Thumbs.db" && !other.test(f.name);
  const files = all.filter(may).slice(0, mostFiles);
  const taken = new Set(files);
  return { files, left: all.filter((f) => !taken.has(f)) };
}

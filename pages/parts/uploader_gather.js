// What a person gave: files from a picker, a drop or the clipboard, each with the path that says its class.
// uploader.py joins this file with uploader_send.js and uploader.js into one module.

/** Files of an <input>; a picked folder's files carry their path, which begins with the folder itself. */
function filesPicked(list) {
  return Array.from(list, (file) => ({ file, name: file.webkitRelativePath || file.name }))
}

/** Files of a drop, folders opened to the last one. `found(count)` is told how far it is. */
async function filesDropped(transfer, found) {
  // The list is emptied as soon as the event is over: take every entry before the first await.
  const entries = Array.from(transfer.items)
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile())
  const gathered = { items: [], unreadable: [] }
  for (const entry of entries) {
    if (entry instanceof File) gathered.items.push({ file: entry, name: entry.name })
    else if (entry) await walk(entry, gathered, found)
  }
  return gathered
}

async function walk(entry, gathered, found) {
  if (entry.isFile) {
    try {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject))
      gathered.items.push({ file, name: entry.fullPath.replace(/^\//, "") })
      found(gathered.items.length)
    } catch {
      gathered.unreadable.push(entry.fullPath.replace(/^\//, ""))
    }
    return
  }
  const reader = entry.createReader()
  for (;;) {
    // A reader hands out at most 100 entries at a time; only an empty answer is the end.
    let batch
    try {
      batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    } catch {
      gathered.unreadable.push(entry.fullPath.replace(/^\//, ""))
      return
    }
    if (!batch.length) return
    await Promise.all(batch.map((child) => walk(child, gathered, found)))
  }
}

/** Pictures on the clipboard, from a paste event. Browsers call all of them image.png: the time tells them apart. */
function filesPasted(transfer) {
  return Array.from(transfer?.files ?? []).map((file, place) => namedPaste(file, place))
}

/** Pictures on the clipboard, asked for by a button; the browser may ask the person first. */
async function filesOnClipboard() {
  const items = []
  for (const entry of await navigator.clipboard.read()) {
    const type = entry.types.find((candidate) => candidate.startsWith("image/"))
    if (type) items.push(namedPaste(new File([await entry.getType(type)], "image.png", { type }), items.length))
  }
  return items
}

function namedPaste(file, place) {
  if (!/^image\.\w+$/.test(file.name)) return { file, name: file.name }
  const stamp = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".")
  return { file, name: `${stamp}${place ? ` ${place + 1}` : ""}${file.name.slice(5)}` }
}

/** Divide files into those worth sending and those left out, the latter as {reason: [names]}. */
function sortOut(items, kinds) {
  const skipped = {}
  const sent = items.filter(({ name }) => {
    const reason = reasonToSkip(name, kinds)
    if (reason) (skipped[reason] ??= []).push(name)
    return !reason
  })
  // In the order of their names, so that one class after the other arrives, whatever order the browser found them in.
  sent.sort((one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0))
  return { sent, skipped }
}

function reasonToSkip(name, kinds) {
  const parts = name.toLowerCase().split("/")
  const isLitter = (part) => kinds.litter.includes(part) || kinds.litter_beginnings.some((begin) => part.startsWith(begin))
  if (parts.some(isLitter)) return "system"
  const suffix = parts.at(-1).match(/\.[^.]+$/)?.[0] ?? ""
  if (kinds.photos.includes(suffix) || kinds.tables.includes(suffix)) return null
  if (kinds.archives.includes(suffix)) return kinds.archives_taken ? null : "archive"
  return kinds.heic.includes(suffix) ? "heic" : "not_photo"
}

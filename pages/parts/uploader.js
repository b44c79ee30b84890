// The drop area, its progress and its outcome. The bytes never pass through Streamlit: only the counts do.
// uploader.py puts uploader_gather.js and uploader_send.js before this.

// By the element's key, not by its place in the page: a rerun, a reconnect or a visit to another page of the app
// makes the element anew, and the upload just goes on.
const jobs = new Map()
let pointedAt = null // of several drop areas for a class each, the one that a paste goes to
const KEYS = /Mac|iP(hone|ad|od)/.test(navigator.platform) ? "⌘V" : "Ctrl+V"

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".uploader")
  if (!jobs.has(data.key)) jobs.set(data.key, new Job())
  const job = jobs.get(data.key)
  job.attach(root, data, setTriggerValue)
  // Streamlit also ends a turn that a newer one overtook: let go only of what is gone from the page.
  return () => setTimeout(() => root.isConnected || job.detach(root))
}

class Job {
  constructor() {
    this.sending = null
    this.skipped = {}
    this.result = null // told to Python, until Python says it has seen it
    this.warn = (event) => event.preventDefault()
  }

  attach(root, data, tell) {
    const restarted = this.data && this.data.session !== data.session
    Object.assign(this, { root, data, tell })
    this.text = data.text
    this.find = (selector) => root.querySelector(selector)
    this.small = data.mode === "class" || data.mode === "photos" // photos, which may be pasted
    this.alone = data.mode === "bundle" // one file
    this.connect()
    if (this.result?.id === data.seen) this.result = null
    // Another upload has begun: what was said about the last one is no longer about this page.
    if (this.sending?.status === "done" && !this.result && this.upload !== data.upload) this.clear()
    else if (this.result && (restarted || !this.told)) setTimeout(() => this.report())
    this.draw()
  }

  clear() {
    Object.assign(this, { sending: null, skipped: {} })
  }

  detach(root) {
    if (root !== this.root) return
    for (const [target, name, handler] of this.outside ?? []) target.removeEventListener(name, handler)
    this.outside = this.root = null
  }

  connect() {
    const { root, find } = this
    for (const [selector, name] of [[".pick-folder", "folder"], [".pick-files", "files"]]) {
      const input = find(selector)
      find(`.choose-${name}`).onclick = () => input.click()
      input.onchange = () => {
        this.take(filesPicked(input.files))
        input.value = "" // or choosing the same folder again would be no change
      }
    }
    find(".paste").onclick = () => this.askForPaste()
    find(".cancel").onclick = () => this.sending.cancel()
    find(".go-on").onclick = () => this.goOn()
    find(".accept").onclick = () => this.tellPython({ accepted: true })
    root.onpointerenter = root.onfocusin = () => (pointedAt = this)
    let depth = 0 // dragenter comes for every child, too
    root.ondragenter = (event) => this.highlight(event, (depth += 1))
    root.ondragleave = (event) => this.highlight(event, (depth -= 1))
    root.ondragover = (event) => event.preventDefault()
    root.ondrop = (event) => {
      this.highlight(event, (depth = 0))
      event.stopPropagation()
      this.takeDrop(event.dataTransfer)
    }
    if (this.outside) return
    this.outside = [
      // A drop that misses the area would make the browser leave the page for the photo.
      [window, "dragover", (event) => event.preventDefault()],
      [window, "drop", (event) => event.preventDefault()],
      [document, "paste", (event) => this.paste(event)],
    ]
    for (const [target, name, handler] of this.outside) target.addEventListener(name, handler)
  }

  highlight(event, depth) {
    event.preventDefault()
    this.root.classList.toggle("over", depth > 0)
  }

  paste(event) {
    if (!this.small || this.sending?.busy) return
    if (this.data.mode === "class" && pointedAt !== this) return
    const items = filesPasted(event.clipboardData)
    if (items.length) {
      event.preventDefault()
      this.take(items)
    }
  }

  async askForPaste() {
    try {
      const items = await filesOnClipboard()
      if (items.length) this.take(items)
      else this.draw("", "no_picture")
    } catch {
      this.draw("", "no_clipboard") // the person, or the browser, said no
    }
  }

  async takeDrop(transfer) {
    if (this.sending?.busy) return
    const looking = (n) => this.draw(fill(this.text.looking, { n }))
    looking(0)
    const { items, unreadable } = await filesDropped(transfer, looking)
    this.take(items, unreadable)
  }

  take(given, unreadable = []) {
    if (this.sending?.busy) return
    const items = given.map(({ file, name }) => ({ file, name: this.data.folder + name }))
    const { sent, skipped } = sortOut(items, this.data.kinds)
    if (unreadable.length) skipped.unreadable = unreadable
    this.skipped = skipped
    this.sending = null
    if (!sent.length) {
      this.draw("", "nothing")
      return
    }
    this.begin(sent)
  }

  begin(items) {
    // The data may name another upload by the time this one ends (a server that restarted): keep what it began with.
    this.upload = this.data.upload
    const fresh = items.map(({ file, name }) => ({ file, name }))
    this.sending = new Sending(this.data.address, this.data.token, fresh, () => this.drawSoon())
    this.batch = crypto.getRandomValues(new Uint32Array(2)).join("-")
    if (this.data.mode === "class") this.tell("began", this.batch)
    this.run()
  }

  goOn() {
    if (this.sending.status === "stopped" && this.upload !== this.data.upload) this.begin(this.sending.items)
    else this.run()
  }

  async run() {
    window.addEventListener("beforeunload", this.warn)
    const lock = await navigator.wakeLock?.request("screen").catch(() => null)
    try {
      await this.sending.run()
    } finally {
      lock?.release()
      window.removeEventListener("beforeunload", this.warn)
    }
    const { unreadable } = this.sending
    if (unreadable.length) this.skipped.unreadable = [...(this.skipped.unreadable ?? []), ...unreadable]
    this.draw()
    this.tellPython()
  }

  tellPython(more = {}) {
    const { items, done, again, expected, unreadable, status } = this.sending
    const skipped = Object.values(this.skipped).reduce((sum, names) => sum + names.length, 0)
    const sent = items.length - unreadable.length
    const counts = { sent, received: done, again, failed: sent - done, skipped, expected }
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-")
    this.result = { id, batch: this.batch, upload: this.upload, status, ...counts, ...more }
    this.told = false
    this.report()
  }

  /** Tell Python; Streamlit drops messages while its connection is down, so wait for it. */
  async report() {
    const frame = document.querySelector("[data-test-connection-state]")
    while (this.root && frame && frame.dataset.testConnectionState !== "CONNECTED") await sleep(200)
    if (!this.root || !this.result) return // told by the next attach
    this.told = true
    this.tell("finished", this.result)
  }

  drawSoon() {
    this.timer ??= setTimeout(() => ((this.timer = null), this.draw()), 100)
  }

  draw(looking = "", outcome = "") {
    if (!this.root) return
    const { root, find, text, data, sending } = this
    const busy = Boolean(looking || sending?.busy)
    root.dataset.mode = data.mode
    root.dataset.status = looking ? "looking" : (sending?.status ?? "idle")
    root.setAttribute("aria-label", text.label)
    const words = {
      ".title": text.title, ".line": fill(text.line, { keys: KEYS }), ".choose-folder": text.folder,
      ".choose-files": this.alone ? text.zip : this.small ? text.photos : text.files, ".paste": text.paste, ".cancel": text.cancel,
    }
    for (const [selector, words_] of Object.entries(words)) find(selector).textContent = words_
    find(".choose-files").classList.toggle("main", data.mode === "photos" || this.alone)
    find(".choose-folder").hidden = this.small || this.alone
    find(".paste").hidden = !this.small || !navigator.clipboard?.read
    const { photos, archives, tables } = data.kinds
    find(".pick-files").accept = (this.small ? photos : [...photos, ...archives, ...tables]).join(",")
    const focused = root.getRootNode().activeElement
    find(".area").hidden = busy
    find(".progress").hidden = !busy
    if (busy) this.drawProgress(looking)
    else this.drawOutcome(outcome)
    // Who presses keys must not be thrown back to the top of the page when the button under their finger is gone.
    if (root.contains(focused) && !focused.checkVisibility()) this.firstButton()?.focus()
  }

  firstButton() {
    return Array.from(this.root.querySelectorAll("button")).find((button) => button.checkVisibility())
  }

  drawProgress(looking) {
    const { find, text, sending } = this
    const share = looking || !sending.totalBytes ? 0 : sending.doneBytes / sending.totalBytes
    const percent = Math.floor(share * 100)
    const bar = find("[role=progressbar]")
    bar.setAttribute("aria-label", text.progress_label)
    bar.setAttribute("aria-valuenow", percent)
    bar.classList.toggle("unknown", Boolean(looking) || sending.status === "comparing")
    find(".bar").style.width = `${share * 100}%`
    find(".cancel").hidden = Boolean(looking)
    const lost = !looking && sending.status === "lost"
    find(".lost").textContent = lost ? text.lost : ""
    if (looking || sending.status === "comparing") {
      find(".counts").textContent = looking || text.comparing
      find(".left").textContent = ""
      this.say(looking || text.comparing, 5000)
      return
    }
    const files = fill(text.files_done, { n: sending.items.length, done: sending.done })
    const size = fill(text.size, { done: megabytes(sending.doneBytes), total: megabytes(sending.totalBytes) })
    find(".counts").textContent = `${files} · ${size}`
    find(".left").textContent = sending.secondsLeft === null ? "" : timeLeft(sending.secondsLeft, text)
    this.say(lost ? text.lost : fill(text.spoken, { percent }), lost ? 0 : 5000)
  }

  drawOutcome(outcome) {
    const { find, text, sending, skipped } = this
    const lines = []
    if (outcome) lines.push(["warning", fill(text[outcome], { kinds: text.kinds, keys: KEYS })])
    if (sending) {
      const { items, done, again, status, unreadable, message, failed } = sending
      const n = items.length - unreadable.length
      const key = status === "cancelled" ? "cancelled" : done === n ? "all" : "some"
      lines.push([key === "all" ? "good" : "warning", fill(text[key], { n, done })])
      if (again) lines.push(["plain", fill(text.again, { n: again })])
      if (status === "unreachable") lines.push(["warning", text.unreachable])
      if (message) lines.push(["warning", message])
      else if (failed.length) lines.push(["warning", fill(text.failed, { n: failed.length })])
    }
    find(".outcome").replaceChildren(...lines.map(([kind, words]) => element("p", { className: kind, textContent: words })))
    const left = { ...skipped }
    if (sending?.failed.length) left.refused = sending.failed.map(({ text: why }) => why)
    find(".skipped").replaceChildren(...(Object.keys(left).length ? [skippedList(left, text)] : []))
    const unfinished = sending && sending.done < sending.items.length - sending.unreadable.length
    find(".go-on").hidden = !unfinished || !sending.left.length
    find(".go-on").textContent = sending?.status === "cancelled" ? text.resume : text.retry
    find(".accept").hidden = !unfinished || !sending.done || this.small
    find(".accept").textContent = text.accept
    this.say(lines.map(([, words]) => words).join(" "))
  }

  /** Speak to a screen reader, not more often than every `every` milliseconds. */
  say(words, every = 0) {
    const now = performance.now()
    const status = this.find(".spoken")
    if (status.textContent === words || (every && now - (this.saidAt ?? -every) < every)) return
    this.saidAt = now
    status.textContent = words
  }
}

function skippedList(skipped, text) {
  const total = Object.values(skipped).reduce((sum, names) => sum + names.length, 0)
  const details = element("details", {})
  details.append(element("summary", { textContent: fill(text.skipped, { n: total }) }))
  for (const [reason, names] of Object.entries(skipped)) {
    const list = element("ul", {})
    list.append(...names.slice(0, 20).map((name) => element("li", { textContent: name })))
    if (names.length > 20) list.append(element("li", { textContent: fill(text.more, { n: names.length - 20 }) }))
    details.append(element("p", { textContent: fill(text.reasons[reason], { n: names.length }) }), list)
  }
  return details
}

function fill(entry, values) {
  const words = typeof entry === "string" ? entry : values.n === 1 ? entry.one : entry.other
  return words.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? values[name].toLocaleString() : values[name]))
}

function megabytes(bytes) {
  return (bytes / 1e6).toLocaleString(undefined, { maximumFractionDigits: bytes < 1e7 ? 1 : 0 })
}

function timeLeft(seconds, text) {
  return seconds < 90
    ? fill(text.seconds_left, { n: Math.max(1, Math.ceil(seconds)) })
    : fill(text.minutes_left, { n: Math.round(seconds / 60) })
}

function element(name, properties) {
  return Object.assign(document.createElement(name), properties)
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

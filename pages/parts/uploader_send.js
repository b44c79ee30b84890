// Files on their way to the server: several batches at once, tried again until they arrive, counted on both sides.
// Needs uploader_gather.js before it only for the order of reading; it touches no page.

const LANES = 4 // requests at once; browsers open six connections to a host, and Streamlit needs one
const FIRST_BYTES = 1 << 19 // of a request; then twice or half of that, so that each takes about a second
const MOST_BYTES = 8 << 20
const LEAST_BYTES = 1 << 17
const MOST_FILES = 100
const ALONE_BYTES = 8 << 20 // larger files come in pieces and can go on after a break
const HASHED_BYTES = 64 << 20 // up to this size a file that seems to be there already is compared by its hash
const FIRST_WAIT = 500 // ms before the second try; doubled up to LAST_WAIT
const LAST_WAIT = 5000
const PATIENCE = 180_000 // ms without one answer before the person is asked to look at the server

class Stopped extends Error {} // the server won't take this upload at all, or can't be reached
class Unreadable extends Error {} // files changed or vanished on the person's own disk

class Sending {
  constructor(address, token, items, changed) {
    Object.assign(this, { address, token, items, changed })
    this.status = "waiting" // comparing, sending, lost, then done, cancelled, stopped or unreachable
    this.message = ""
    this.totalBytes = items.reduce((sum, { file }) => sum + file.size, 0)
    this.doneBytes = this.done = this.again = 0
    this.expected = 0 // files that must lie on the server's disk in the end
    this.failed = [] // {name, text}
    this.unreadable = []
    this.requestBytes = FIRST_BYTES
  }

  get busy() {
    return ["comparing", "sending", "lost"].includes(this.status)
  }

  get left() {
    return this.items.filter((item) => !item.settled)
  }

  cancel() {
    this.abort?.abort(new DOMException("cancelled", "AbortError"))
  }

  /** Send what hasn't been sent. May be called again after a stop: what arrived stays arrived. */
  async run() {
    this.abort = new AbortController()
    this.stop = null
    this.setStatus("comparing")
    this.startedAt = this.answeredAt = performance.now()
    try {
      const before = await this.ask("GET")
      this.expected = before.files
      await this.skipArrived(before.arrived)
      this.startedBytes = this.doneBytes
      this.setStatus("sending")
      this.queue = this.left
      await Promise.all(Array.from({ length: LANES }, () => this.lane()))
      if (this.stop) throw this.stop
      this.setStatus("done")
    } catch (error) {
      if (error?.name === "AbortError") this.setStatus("cancelled")
      else if (error instanceof Stopped) this.setStatus(error.cause ?? "stopped", error.message)
      else throw error
    }
  }

  /** Send a few small files that were made a moment ago, after those before. Throws Stopped if the server takes none. */
  async sendMore(items) {
    this.abort ??= new AbortController()
    this.stop = null
    this.items.push(...items)
    this.answeredAt = performance.now()
    this.setStatus("sending")
    for (let start = 0; start < items.length; start += MOST_FILES) {
      await this.sendWhole(items.slice(start, start + MOST_FILES).filter((item) => !item.settled))
    }
    this.setStatus("done")
  }

  /** One of several lanes: request after request. When one lane has to stop, the others end what they have begun. */
  async lane() {
    while (this.queue.length && !this.stop) {
      const batch = this.nextBatch()
      try {
        if (batch[0].file.size > ALONE_BYTES) await this.sendInPieces(batch[0])
        else await this.sendWhole(batch)
      } catch (error) {
        if (!(error instanceof Stopped)) throw error
        this.stop ??= error
      }
    }
  }

  /** The next small files together, or the next large one alone. */
  nextBatch() {
    let bytes = 0
    let count = 0
    for (const { file } of this.queue.slice(0, MOST_FILES)) {
      if (count && (bytes + file.size > this.requestBytes || file.size > ALONE_BYTES)) break
      bytes += file.size
      count += 1
      if (file.size > ALONE_BYTES) break
    }
    return this.queue.splice(0, count)
  }

  async sendWhole(batch) {
    while (batch.length) {
      const entries = batch.map(({ file, name }) => ({ name, size: file.size }))
      let answers
      try {
        answers = await this.post(entries, batch.map(({ file }) => file), batch)
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error
        batch = batch.filter((item) => !item.settled)
        continue
      }
      batch.forEach((item, place) => this.settle(item, answers[place]))
      batch = batch.filter((item) => !item.settled)
      if (batch.length) await this.pause(FIRST_WAIT)
    }
  }

  async sendInPieces(item) {
    const { file, name } = item
    item.resume ??= await resumeKey(file, name)
    let offset = item.offset ?? 0
    while (!item.settled) {
      const piece = file.slice(offset, offset + this.requestBytes)
      const entry = { name, size: piece.size, offset, total: file.size, resume: item.resume }
      let answer
      try {
        ;[answer] = await this.post([entry], [piece], [item])
      } catch (error) {
        if (error instanceof Unreadable) return
        throw error
      }
      if (answer.state === "partial") {
        offset = answer.have
        this.doneBytes += offset - (item.offset ?? 0)
        item.offset = offset
        this.changed()
      } else if (answer.state === "busy") await this.pause(FIRST_WAIT)
      else this.settle(item, answer)
    }
  }

  settle(item, answer) {
    if (answer.state === "busy" || answer.state === "partial") return
    item.settled = true
    this.doneBytes += item.file.size - (item.offset ?? 0)
    if (answer.state === "received") {
      this.done += 1
      if (answer.again) this.again += 1
      else this.expected += 1
    } else this.failed.push({ name: item.name, text: answer.text })
    this.changed()
  }

  /** Files that arrived before a break, by name, size and content; nothing is taken for granted by its name alone. */
  async skipArrived(arrived) {
    const known = new Map(arrived.map(([name, size, sha256]) => [`${size} ${name}`, sha256]))
    for (const item of this.left) {
      const sha256 = known.get(`${item.file.size} ${item.name}`)
      if (!sha256 || item.file.size > HASHED_BYTES || !globalThis.crypto?.subtle) continue
      this.abort.signal.throwIfAborted()
      const digest = await item.file.arrayBuffer().then(hashOf, () => null)
      if (digest === sha256) this.settle(item, { state: "received", again: true })
    }
  }

  async post(entries, parts, batch) {
    const list = new TextEncoder().encode(JSON.stringify(entries))
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, list.length)
    const body = new Blob([length, list, ...parts])
    const began = performance.now()
    const answer = await this.ask("POST", body, batch)
    this.pace(body.size, performance.now() - began)
    if (answer.full) {
      const refused = answer.files.find(({ state }) => state === "refused")
      batch.forEach((item, place) => this.settle(item, answer.files[place]))
      throw new Stopped(refused?.text ? `${refused.text} ${refused.hint}` : "")
    }
    return answer.files
  }

  /** Requests grow on a fast line and shrink on a slow one: progress stays visible, and a break loses little. */
  pace(bytes, milliseconds) {
    if (milliseconds > 2000) this.requestBytes = Math.max(this.requestBytes / 2, LEAST_BYTES)
    else if (milliseconds < 500 && bytes > this.requestBytes / 2) {
      this.requestBytes = Math.min(this.requestBytes * 2, MOST_BYTES)
    }
  }

  /** One request, tried until it is answered; a server that restarts costs time, never a file. */
  async ask(method, body, batch) {
    for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LAST_WAIT)) {
      this.abort.signal.throwIfAborted()
      let response
      try {
        const headers = { "X-Graft-Token": this.token, "Content-Type": "application/octet-stream" }
        response = await fetch(this.address, { method, body, headers, signal: this.abort.signal })
        if (response.ok) {
          const answer = await response.json()
          this.answeredAt = performance.now()
          if (this.status === "lost") this.setStatus("sending")
          return answer
        }
      } catch (error) {
        if (this.abort.signal.aborted) throw error
        if (batch && (await this.dropUnreadable(batch))) throw new Unreadable()
      }
      if (response && response.status < 500 && response.status !== 429) {
        const told = await response.json().catch(() => ({}))
        throw new Stopped([told.error, told.hint].filter(Boolean).join(" "))
      }
      if (this.stop) throw this.stop
      if (performance.now() - this.answeredAt > PATIENCE) throw new Stopped("", { cause: "unreachable" })
      this.setStatus("lost")
      await this.pause(wait)
    }
  }

  async dropUnreadable(batch) {
    let dropped = false
    for (const item of batch) {
      const readable = await item.file.slice(0, 1).arrayBuffer().then(() => true, () => false)
      if (readable) continue
      item.settled = dropped = true
      this.unreadable.push(item.name)
      this.totalBytes -= item.file.size
    }
    return dropped
  }

  pause(milliseconds) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, milliseconds)
      const stop = () => (clearTimeout(timer), reject(new DOMException("cancelled", "AbortError")))
      this.abort.signal.addEventListener("abort", stop, { once: true })
    })
  }

  setStatus(status, message = "") {
    Object.assign(this, { status, message })
    this.changed()
  }

  /** Seconds until the end at the pace so far; null while that is anyone's guess. */
  get secondsLeft() {
    const seconds = (performance.now() - this.startedAt) / 1000
    const sent = this.doneBytes - this.startedBytes
    return this.status !== "sending" || seconds < 2 || sent <= 0 ? null : ((this.totalBytes - this.doneBytes) / sent) * seconds
  }
}

/** Names a large file, so that its pieces find each other after a reload. A zip's last bytes list all it holds. */
async function resumeKey(file, name) {
  if (!globalThis.crypto?.subtle) return hex(globalThis.crypto.getRandomValues(new Uint8Array(32)))
  const ends = new Blob([`${name}\0${file.size}\0${file.lastModified}\0`, file.slice(0, 65536), file.slice(-65536)])
  return hashOf(await ends.arrayBuffer())
}

async function hashOf(buffer) {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", buffer)))
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

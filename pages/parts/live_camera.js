// A camera's picture and the model's answer to it, several times a second. live_camera.py puts camera.js before this.

const RATE = 12 // frames a second at most; one is on its way at a time, so that a slow model gets fewer
const CAMERA_SIDE = 640 // pixels; backbones look at 224 to 480
const QUALITY = 0.85
const SMOOTH = 250 // ms over which answers are averaged: single frames flicker
const ROWS = 3 // classes shown where there are more
const STAY = 900 // ms for which a row keeps its class
const SPEAK = 2000 // ms between two words to a screen reader
const RETRY = 1000 // ms after an answer that didn't come
const BUSY = 300 // ms after one that was turned away
const AWAY = 1000 // ms without an element, after which the camera goes out

// By the element's key: a rerun makes the element anew, and the camera just stays on.
const lives = new Map()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".live")
  if (!lives.has(data.key)) lives.set(data.key, new Live())
  const live = lives.get(data.key)
  live.attach(root, data)
  return () => setTimeout(() => root.isConnected || live.detach(root), AWAY)
}

class Live {
  constructor() {
    Object.assign(this, { stream: null, problem: "", why: "", note: "", starting: false })
    this.canvas = document.createElement("canvas")
    this.forget()
  }

  /** Another model, or another camera: what was said before is no longer about this. */
  forget() {
    Object.assign(this, { shares: new Map(), strange: 0, unknown: false, said: "", rows: [], rowsAt: 0, times: [] })
  }

  attach(root, data) {
    if (this.data && this.data.address !== data.address) this.forget()
    Object.assign(this, { root, data, text: data.text })
    this.find = (selector) => root.querySelector(selector)
    this.find(".turn-on").onclick = () => this.start()
    this.find(".turn-off").onclick = () => (this.release(), this.draw())
    this.find("select").onchange = (event) => this.start(event.target.value)
    this.leave ??= () => this.release()
    window.addEventListener("pagehide", this.leave)
    if (this.stream) this.show()
    this.draw()
  }

  detach(root) {
    if (root !== this.root) return
    this.release()
    window.removeEventListener("pagehide", this.leave)
    this.root = null
  }

  async start(device) {
    if (this.starting) return
    this.release()
    this.forget()
    Object.assign(this, { starting: true, problem: "", why: "", note: "getting_ready" })
    this.draw()
    try {
      // On a phone the camera on its back: people point it at things.
      const stream = await openCamera(CAMERA_SIDE, { device, facing: "environment" })
      if (!this.root) return closeCamera(stream) // the page was left meanwhile
      this.stream = stream
      for (const track of stream.getTracks()) track.onended = () => this.fail("gone")
      this.devices = await allCameras()
      await this.show()
    } catch (error) {
      this.fail(problemOf(error), error.name)
    } finally {
      this.starting = false
    }
    this.draw()
    if (this.stream) this.watch()
  }

  async show() {
    const video = this.find("video")
    if (video.srcObject !== this.stream) video.srcObject = this.stream
    const { zoom } = this.data
    video.style.transform = `scale(${isMirrored(this.stream) ? -zoom : zoom}, ${zoom})`
    await video.play().catch(() => {})
  }

  fail(problem, why = "") {
    this.release()
    Object.assign(this, { problem, why })
    this.draw()
  }

  release() {
    this.turn = null
    this.abort?.abort()
    closeCamera(this.stream)
    this.stream = null
    this.note = ""
    if (this.root) this.find("video").srcObject = null
  }

  /** Frame after frame, each when the one before is answered; none while nobody can see the page. */
  async watch() {
    const turn = (this.turn = {})
    this.abort = new AbortController()
    while (this.turn === turn) {
      const began = performance.now()
      const pause = document.hidden ? BUSY : await this.look(turn)
      await sleep(Math.max(pause, began + 1000 / RATE - performance.now()))
    }
  }

  /** One frame and its answer; returns how long to wait before the next, in ms. */
  async look(turn) {
    const blob = await this.frame()
    if (!blob) return BUSY
    const { address, token } = this.data
    const headers = { "X-Graft-Token": token, "Content-Type": "image/jpeg" }
    let response, told
    try {
      response = await fetch(address, { method: "POST", body: blob, headers, signal: this.abort.signal })
      told = await response.json()
    } catch {
      return this.turn === turn ? this.wait("lost", RETRY) : 0
    }
    if (this.turn !== turn || address !== this.data.address) return 0
    if (response.ok) this.take(told)
    else if (response.status === 429) return this.wait(this.said ? "" : "busy", BUSY)
    else if (response.status >= 500) return this.wait("lost", RETRY)
    else {
      this.release()
      this.stopped = [told.error, told.hint].filter(Boolean).join(" ")
      this.draw()
    }
    return 0
  }

  wait(note, milliseconds) {
    this.note = note
    this.draw()
    return milliseconds
  }

  /** The square that the model looks at, no larger than it needs; null while the camera has no picture. */
  async frame() {
    const video = this.find("video")
    const { videoWidth: width, videoHeight: height } = video
    if (!width) return null
    const { side } = this.data
    const square = Math.min(width, height)
    Object.assign(this.canvas, { width: side, height: side })
    const pen = this.canvas.getContext("2d")
    pen.imageSmoothingQuality = "high"
    pen.drawImage(video, (width - square) / 2, (height - square) / 2, square, square, 0, 0, side, side)
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/jpeg", QUALITY))
  }

  take({ top, unknown }) {
    const now = performance.now()
    const weight = this.times.length ? 1 - Math.exp((this.times.at(-1) - now) / SMOOTH) : 1
    const newest = new Map(top.map(({ label, confidence }) => [label, confidence]))
    for (const label of new Set([...this.shares.keys(), ...newest.keys()])) {
      this.shares.set(label, (1 - weight) * (this.shares.get(label) ?? 0) + weight * (newest.get(label) ?? 0))
    }
    this.strange = (1 - weight) * this.strange + weight * (unknown ? 1 : 0)
    // Between the two it stays as it is: a photo at the limit would flicker.
    this.unknown = this.strange > 0.6 || (this.unknown && this.strange > 0.4)
    const order = [...this.shares.keys()].sort((one, other) => this.shares.get(other) - this.shares.get(one))
    for (const label of order.slice(20)) this.shares.delete(label)
    if (!this.said || this.shares.get(order[0]) > (this.shares.get(this.said) ?? 0) + 0.05) this.said = order[0]
    this.times = [...this.times, now].slice(-20)
    if (this.data.classes) this.rows = this.data.classes
    else this.keepRows(order, now)
    this.note = ""
    this.draw()
  }

  /** The likeliest classes; who stays keeps its row, and newcomers come after a moment. */
  keepRows(order, now) {
    const wanted = order.slice(0, ROWS)
    if (this.rows.length && now - this.rowsAt < STAY) return
    const newcomers = wanted.filter((label) => !this.rows.includes(label))
    if (!newcomers.length) return
    const kept = this.rows.map((label) => (wanted.includes(label) ? label : newcomers.shift()))
    this.rows = [...kept, ...newcomers]
    this.rowsAt = now
  }

  get perSecond() {
    const { times } = this
    return times.length < 5 ? 0 : (1000 * (times.length - 1)) / (times.at(-1) - times[0])
  }

  draw() {
    if (!this.root) return
    const { find, text, root } = this
    const on = Boolean(this.stream)
    const focused = root.getRootNode().activeElement
    root.dataset.status = on ? (this.said ? "answering" : "on") : this.starting ? "starting" : "off"
    root.setAttribute("aria-label", text.label)
    find("video").setAttribute("aria-label", text.picture)
    find(".turn-on").textContent = text.start
    find(".turn-off").textContent = text.stop
    find(".turn-on").hidden = on
    find(".turn-on").disabled = this.starting
    for (const selector of [".turn-off", ".both"]) find(selector).hidden = !on
    find(".camera").hidden = !on || (this.devices?.length ?? 0) < 2
    if (on) {
      this.stopped = ""
      find(".camera span").textContent = text.camera
      find("select").setAttribute("aria-label", text.camera)
      this.drawCameras()
      this.drawAnswer()
    }
    const trouble = this.problem ? problemWords(text, this.problem, this.why) : (this.stopped ?? "")
    if (find(".problem").textContent !== trouble) find(".problem").textContent = trouble
    if (root.contains(focused) && !focused.checkVisibility()) find(on ? ".turn-off" : ".turn-on").focus()
  }

  drawCameras() {
    const select = this.find("select")
    if (select.drawn === this.devices && select.options.length) return
    select.drawn = this.devices
    select.replaceChildren(...cameraOptions(this.devices ?? [], this.stream, this.text.camera_number))
  }

  drawAnswer() {
    const { find, text, data } = this
    const unknown = this.unknown && data.strict
    const share = Math.round(100 * (this.shares.get(this.said) ?? 0))
    const sure = this.said && !unknown ? fillIn(text.sure, { share }) : ""
    find(".said").textContent = !this.said ? "" : unknown ? text.unknown : this.said
    find(".sure").textContent = sure
    find(".why").textContent = this.said && this.unknown ? (unknown ? text.unknown_why : text.guess) : ""
    find(".note").textContent = this.note ? text[this.note] : ""
    find(".speed").textContent = this.perSecond ? fillIn(text.speed, { n: Math.round(10 * this.perSecond) / 10 }) : ""
    find(".rows").classList.toggle("away", Boolean(unknown))
    this.drawRows()
    this.speak(find(".said").textContent)
  }

  /** Each row keeps its node, so that only bars move. */
  drawRows() {
    const list = this.find(".rows")
    while (list.children.length > this.rows.length) list.lastChild.remove()
    while (list.children.length < this.rows.length) list.append(this.find("template").content.cloneNode(true))
    this.rows.forEach((label, place) => {
      const row = list.children[place]
      const percent = Math.round(100 * (this.shares.get(label) ?? 0))
      row.querySelector(".name").textContent = label
      row.querySelector(".fill").style.width = `${percent}%`
      row.querySelector(".percent").textContent = `${percent} %`
      row.classList.toggle("first", label === this.said)
    })
  }

  speak(words) {
    const now = performance.now()
    const spoken = this.find(".spoken")
    if (spoken.textContent === words || now - (this.spokeAt ?? -SPEAK) < SPEAK) return
    this.spokeAt = now
    spoken.textContent = words
  }
}

// A camera's picture, and a button that records from it as long as it is held. webcam.py puts uploader_send.js and
// camera.js before this.

const RATE = 8 // photos a second: more are nearly the same picture
const MOST_SIDE = 640 // pixels; backbones look at 224 to 384
const QUALITY = 0.9
const TAP = 250 // ms: who lets go sooner wanted one photo
const MOST_WAITING = 120 // photos not yet sent: recording waits then
const SHOWN = 8 // of the last photos
const AWAY = 1000 // ms without an element, after which the camera goes out

// By the element's key: a rerun makes the element anew, and the camera just stays on.
const cameras = new Map()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".webcam")
  if (!cameras.has(data.key)) cameras.set(data.key, new Camera())
  const camera = cameras.get(data.key)
  camera.attach(root, data, setTriggerValue)
  // Streamlit also ends a turn that a newer one overtook, and takes elements out to put them elsewhere: the light goes
  // out when the element stays away.
  return () => setTimeout(() => root.isConnected || camera.detach(root), AWAY)
}

class Camera {
  constructor() {
    Object.assign(this, { stream: null, problem: "", why: "", made: 0, waiting: [], refused: [], pictures: [] })
    this.canvas = document.createElement("canvas")
    this.holding = this.sending = this.starting = false
  }

  attach(root, data, tell) {
    if (this.data && this.data.upload !== data.upload) Object.assign(this, { made: 0, waiting: [], refused: [], pictures: [] })
    Object.assign(this, { root, data, tell, text: data.text })
    this.find = (selector) => root.querySelector(selector)
    this.connect()
    if (this.stream) this.show()
    this.draw()
  }

  detach(root) {
    if (root !== this.root) return
    this.release()
    for (const [target, name, handler] of this.outside) target.removeEventListener(name, handler)
    this.outside = this.root = null
  }

  connect() {
    const hold = this.find(".hold")
    this.find(".turn-on").onclick = () => this.start()
    this.find(".turn-off").onclick = () => (this.release(), this.draw())
    this.find(".again").onclick = () => this.send()
    this.find("select").onchange = (event) => this.start(event.target.value)
    hold.onpointerdown = (event) => {
      if (event.button) return
      hold.setPointerCapture(event.pointerId)
      this.begin()
    }
    hold.onpointerup = hold.onpointercancel = hold.onlostpointercapture = () => this.end()
    hold.oncontextmenu = (event) => event.preventDefault() // a long touch
    hold.onclick = (event) => {
      if (event.detail) return // a pointer's: it was held
      this.begin() // a screen reader, a switch or the Enter key pressed it: one photo
      this.end()
    }
    if (this.outside) return
    this.outside = [
      [window, "keydown", (event) => this.key(event, true)],
      [window, "keyup", (event) => this.key(event, false)],
      [window, "blur", () => this.end()],
      [document, "visibilitychange", () => document.hidden && this.end()],
      [window, "pagehide", () => this.release()],
    ]
    for (const [target, name, handler] of this.outside) target.addEventListener(name, handler)
  }

  /** The space bar, unless it is needed where the focus is. */
  key(event, down) {
    if (event.code !== "Space" || !this.stream) return
    const focused = event.composedPath()[0]
    const ours = focused === this.find(".hold")
    if (!ours && focused.matches?.("input, textarea, select, button, summary, a, [contenteditable], [role]")) return
    event.preventDefault() // no scrolling, and no click when the key goes up
    if (down && !event.repeat) this.begin()
    if (!down) this.end()
  }

  async start(device) {
    if (this.starting) return
    this.release()
    Object.assign(this, { starting: true, problem: "", why: "" })
    this.draw()
    try {
      const stream = await openCamera(MOST_SIDE, { device })
      if (!this.root) return closeCamera(stream) // the page was left meanwhile
      this.stream = stream
      for (const track of stream.getTracks()) track.onended = () => this.fail("gone")
      this.devices = await allCameras()
      await this.show()
    } catch (error) {
      this.release()
      this.fail(problemOf(error), error.name)
    } finally {
      this.starting = false
    }
    this.draw()
    if (this.stream && !device) this.find(".hold").focus()
  }

  async show() {
    const video = this.find("video")
    if (video.srcObject !== this.stream) video.srcObject = this.stream
    video.classList.toggle("mirrored", isMirrored(this.stream))
    await video.play().catch(() => {})
  }

  fail(problem, why = "") {
    this.release()
    Object.assign(this, { problem, why })
    this.draw()
  }

  release() {
    this.end()
    closeCamera(this.stream)
    this.stream = null
    if (this.root) this.find("video").srcObject = null
  }

  async begin() {
    if (!this.stream || this.holding) return
    const turn = (this.holding = {})
    this.batch = crypto.getRandomValues(new Uint32Array(2)).join("-")
    this.tell("began", this.batch)
    const stamp = new Date().toISOString().slice(0, 23).replace("T", " ").replaceAll(":", ".")
    const began = performance.now()
    this.draw()
    for (let number = 1; this.holding === turn; number += 1) {
      if (this.waiting.length < MOST_WAITING) await this.record(`${stamp}-${String(number).padStart(3, "0")}.jpg`)
      const next = began + Math.max(TAP, (number * 1000) / RATE) // a tap ends before the second photo
      await sleep(Math.max(0, next - performance.now()))
    }
    if (!this.sending) this.send()
  }

  end() {
    if (!this.holding) return
    this.holding = false
    this.draw()
  }

  async record(name) {
    const video = this.find("video")
    const { videoWidth: width, videoHeight: height } = video
    if (!width) return
    const scale = Math.min(1, MOST_SIDE / Math.max(width, height))
    Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) })
    this.canvas.getContext("2d").drawImage(video, 0, 0, this.canvas.width, this.canvas.height)
    const blob = await new Promise((resolve) => this.canvas.toBlob(resolve, "image/jpeg", QUALITY))
    if (!blob) return
    this.made += 1
    this.waiting.push({ file: new File([blob], name, { type: "image/jpeg" }), name: `${this.data.folder}/${name}` })
    this.pictures = [...this.pictures, blob].slice(-SHOWN)
    this.draw()
    if (!this.sending) this.send()
  }

  /** Send what waits, a few at a time, until nothing does. Then Python is told, unless more is being recorded. */
  async send() {
    this.sending = true
    const { address, token, upload } = this.data
    const sender = new Sending(address, token, [], () => this.draw())
    this.lost = () => sender.status === "lost"
    const warn = (event) => event.preventDefault()
    window.addEventListener("beforeunload", warn)
    this.stopped = ""
    try {
      while (this.waiting.length && upload === this.data.upload) {
        const items = this.waiting.slice(0, 16)
        await sender.sendMore(items)
        this.waiting = this.waiting.filter((item) => !item.settled)
        this.draw()
      }
    } catch (error) {
      if (!(error instanceof Stopped)) throw error
      this.waiting = this.waiting.filter((item) => !item.settled)
      this.stopped = error.message || this.text.lost
    } finally {
      this.refused = [...this.refused, ...sender.failed]
      this.sending = false
      this.lost = null
      window.removeEventListener("beforeunload", warn)
    }
    if (!this.holding) this.report()
    this.draw()
  }

  async report() {
    const frame = document.querySelector("[data-test-connection-state]")
    while (this.root && frame && frame.dataset.testConnectionState !== "CONNECTED") await sleep(200)
    if (this.root) this.tell("finished", { batch: this.batch, made: this.made, waiting: this.waiting.length })
  }

  draw() {
    if (!this.root) return
    const { find, text, root } = this
    const on = Boolean(this.stream)
    const focused = root.getRootNode().activeElement
    root.dataset.status = this.holding ? "recording" : on ? "on" : this.starting ? "starting" : "off"
    root.setAttribute("aria-label", text.label)
    find("video").setAttribute("aria-label", text.picture)
    for (const [selector, words] of [[".turn-on", text.start], [".turn-off", text.stop], [".again", text.retry], [".keys", text.keys]]) {
      find(selector).textContent = words
    }
    find(".hold").textContent = this.holding ? text.recording : text.hold
    find(".hold").setAttribute("aria-pressed", Boolean(this.holding))
    for (const selector of [".hold", ".turn-off", ".keys", ".stage"]) find(selector).hidden = !on
    find(".turn-on").hidden = on
    find(".turn-on").disabled = this.starting
    find(".camera").hidden = !on || (this.devices?.length ?? 0) < 2
    if (on) this.drawCameras()
    this.drawCounts()
    this.drawPictures()
    if (root.contains(focused) && !focused.checkVisibility()) find(on ? ".hold" : ".turn-on").focus()
  }

  drawCameras() {
    const { find, text } = this
    find(".camera span").textContent = text.camera
    find("select").setAttribute("aria-label", text.camera)
    find("select").replaceChildren(...cameraOptions(this.devices, this.stream, text.camera_number))
  }

  drawCounts() {
    const { find, text } = this
    const sent = this.made - this.waiting.length - this.refused.length
    find(".count").textContent = this.made ? fillIn(text.sent, { n: sent }) : ""
    const waits = this.waiting.length && (!this.holding || this.waiting.length > 2 * RATE)
    find(".waiting").textContent = waits ? fillIn(text.waiting, { n: this.waiting.length }) : ""
    const lines = []
    if (this.problem) lines.push(problemWords(text, this.problem, this.why))
    if (this.lost?.()) lines.push(text.lost)
    if (this.waiting.length >= MOST_WAITING) lines.push(text.full)
    if (this.stopped) lines.push(this.stopped)
    if (this.refused.length) lines.push(fillIn(text.failed, { n: this.refused.length, why: this.refused.at(-1).text }))
    const words = lines.join(" ")
    if (find(".problem").textContent !== words) find(".problem").textContent = words
    find(".again").hidden = !this.stopped || !this.waiting.length
  }

  drawPictures() {
    const list = this.find(".pictures")
    if (list.drawn === this.pictures) return
    list.drawn = this.pictures
    for (const image of list.children) URL.revokeObjectURL(image.src)
    list.replaceChildren(
      ...this.pictures.map((blob) => Object.assign(new Image(), { src: URL.createObjectURL(blob), alt: "", width: 64, height: 64 })),
    )
  }
}

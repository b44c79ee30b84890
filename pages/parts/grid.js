// A grid of photos to choose from, by mouse, finger and keyboard, and what can be done with the chosen ones.
// grid.py puts grid_draw.js and grid_closer.js before this.

// By the element's key, not by its place in the page: a rerun or a reconnect makes the element anew, and what was
// chosen stays chosen.
const grids = new Map()
const TELL_AGAIN = 4000 // milliseconds
const TELL_AFTER = 250 // milliseconds of peace before Python is told what is chosen

export default function ({ data, parentElement, setTriggerValue, setStateValue }) {
  const root = parentElement.querySelector(".grid")
  if (!grids.has(data.key)) grids.set(data.key, new Grid())
  const grid = grids.get(data.key)
  grid.attach(root, data, (actions) => setTriggerValue("acted", actions), (paths) => setStateValue("chosen", paths))
  // Streamlit also ends a turn that a newer one overtook: let go only of what is gone from the page.
  return () => setTimeout(() => root.isConnected || grid.detach(root))
}

class Grid extends Drawn {
  chosen = new Set() // paths
  everything = false // all of the view, also what other pages of it show
  waiting = [] // actions that Python hasn't seen yet
  at = null // path of the tile that the keyboard is on
  anchor = null // where a range begins
  scrolled = 0
  tiles = new Map() // path → node
  order = []

  attach(root, data, act, choose) {
    const fresh = root !== this.root
    const another = this.data?.view !== data.view
    const restarted = this.data && this.data.session !== data.session
    Object.assign(this, { root, data, act, choose, text: data.text })
    this.find = (selector) => root.querySelector(selector)
    if (another) this.forget()
    if (fresh) {
      this.tiles = new Map()
      this.closer = new Closer(this)
      this.connect()
    }
    this.settle()
    if (restarted) setTimeout(() => this.repeat()) // what is told while it mounts may be lost
    this.draw()
  }

  detach(root) {
    if (root !== this.root) return
    this.root = null
  }

  forget() {
    Object.assign(this, { everything: false, at: null, anchor: null, scrolled: 0 })
    this.chosen.clear()
  }

  /** What Python has seen is done; what it refused is chosen again, so that it can be tried another way. */
  settle() {
    for (const { id, paths, everything } of this.waiting) {
      if (!this.data.failed.includes(id)) continue
      paths.forEach((path) => this.chosen.add(path))
      this.everything ||= everything
    }
    this.waiting = this.waiting.filter(({ id }) => !this.data.done.includes(id))
  }

  /** A server that was started again knows nothing of deeds: only what is safe to do twice is told again. */
  repeat() {
    this.waiting = this.waiting.filter(({ paths, everything }) => paths.length && !everything)
    this.send()
    for (const picture of this.find(".photos").querySelectorAll("img")) {
      if (picture.complete && !picture.naturalWidth) picture.srcset = picture.srcset // asked for while nobody was there
    }
  }

  connect() {
    const photos = this.find(".photos")
    photos.onclick = (event) => this.click(event)
    photos.ondblclick = (event) => this.open(event.target.closest(".tile"))
    photos.onkeydown = (event) => this.key(event)
    photos.addEventListener("focusin", (event) => this.focused(event.target.closest(".tile")))
    photos.addEventListener("scroll", () => (this.scrolled = photos.scrollTop), { passive: true })
    this.root.addEventListener("pointerleave", () => this.tellNow())
    this.root.addEventListener("focusout", () => this.tellNow())
    const pressed = {
      ".all": () => this.chooseAll(), ".none": () => this.chooseNone(), ".everything": () => this.chooseEverything(),
      ".look": () => this.open(this.tiles.get(this.targets()[0])), ".move": () => this.toggle("moving"),
      ".aside": () => this.toggle("reasons"), ".back": () => this.do("back"), ".forget": () => this.do("forget"),
    }
    for (const [selector, handler] of Object.entries(pressed)) this.find(selector).onclick = handler
    this.find(".moving").onsubmit = (event) => {
      event.preventDefault()
      this.moveTo(this.find(".name").value)
    }
    this.find(".name").oninput = () => this.drawMoving()
    for (const name of ["moving", "reasons"]) {
      this.find(`.${name}`).onkeydown = (event) => {
        if (event.key !== "Escape") return
        event.stopPropagation()
        this.toggle(null)
        this.focusTile(this.at)
      }
    }
  }

  // Choosing

  click(event) {
    const tile = event.target.closest(".tile")
    if (!tile) return
    if (event.shiftKey && this.anchor) this.chooseRange(tile.dataset.path)
    else this.flip(tile.dataset.path)
  }

  flip(path) {
    if (this.everything) this.everything = false
    if (!this.chosen.delete(path)) this.chosen.add(path)
    this.anchor = path
    this.changed()
  }

  chooseRange(path) {
    const [from, to] = [this.order.indexOf(this.anchor), this.order.indexOf(path)]
    if (from < 0) return this.flip(path)
    for (const one of this.order.slice(Math.min(from, to), Math.max(from, to) + 1)) this.chosen.add(one)
    this.changed()
  }

  chooseAll() {
    this.order.forEach((path) => this.chosen.add(path))
    this.changed()
  }

  chooseEverything() {
    this.everything = true
    this.changed()
  }

  chooseNone() {
    this.everything = false
    this.chosen.clear()
    this.changed()
  }

  changed() {
    this.drawChosen()
    this.say(this.countText())
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.tellNow(), TELL_AFTER)
  }

  /** What Python is to know of the choice, if it asked to: before any button elsewhere can be pressed. */
  tellNow() {
    clearTimeout(this.timer)
    const paths = [...this.chosen].sort()
    const told = JSON.stringify(paths)
    if (!this.data.tells || told === this.told || !this.root) return
    this.told = told
    this.choose(paths)
  }

  // Keyboard

  key(event) {
    const command = event.ctrlKey || event.metaKey
    const quick = command ? this.commands(event) : this.quick(event)
    const step = event.altKey ? undefined : this.step(event.key)
    if (!quick && step === undefined) return
    event.preventDefault()
    event.stopPropagation() // Streamlit has short cuts of its own
    if (quick) return quick()
    const from = Math.max(0, this.order.indexOf(this.at))
    const to = this.order[Math.min(this.order.length - 1, Math.max(0, from + step))]
    if (event.shiftKey) {
      this.anchor ??= this.at
      this.chooseRange(to)
    }
    this.focusTile(to)
  }

  step(key) {
    const photos = this.find(".photos")
    const columns = getComputedStyle(photos).gridTemplateColumns.split(" ").length
    const first = this.tiles.get(this.order[0])
    const rows = first ? Math.max(1, Math.floor(photos.clientHeight / first.offsetHeight)) : 1
    const end = this.order.length
    return {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -columns * rows,
      PageDown: columns * rows, Home: -end, End: end,
    }[key]
  }

  commands({ key, shiftKey }) {
    const { undo, redo } = this.data
    const name = key.toLowerCase()
    if (name === "a") return () => this.chooseAll()
    if (name === "z" && (undo || redo)) return () => this.do(shiftKey ? "redo" : "undo")
    if (name === "y" && redo) return () => this.do("redo")
    if (name === " ") return () => this.flip(this.at)
  }

  quick({ key, altKey }) {
    if (altKey) return undefined
    const may = (name) => this.data.actions.includes(name)
    if (key === " ") return () => this.flip(this.at)
    if (key === "Enter") return () => this.open(this.tiles.get(this.at))
    if (key === "Escape" && this.chosen.size) return () => this.chooseNone()
    if ((key === "Delete" || key === "Backspace") && may("aside")) return () => this.do("aside")
    if (key.toLowerCase() === "b" && may("back")) return () => this.do("back")
    if (key.toLowerCase() === "m" && may("move")) return () => this.toggle("moving")
    const place = /^[1-9]$/.test(key) && may("move") ? this.data.classes[key - 1] : undefined
    if (place) return () => this.do("move", { value: place.name })
  }

  focused(tile) {
    if (!tile) return
    this.at = tile.dataset.path
    this.drawStop()
  }

  focusTile(path) {
    const tile = this.tiles.get(path) ?? this.tiles.get(this.order[0])
    tile?.focus()
    tile?.scrollIntoView({ block: "nearest" })
  }

  // Doing

  /** The chosen photos; without any the one that the keyboard is on. */
  targets() {
    if (this.chosen.size) return this.order.filter((path) => this.chosen.has(path))
    return this.tiles.has(this.at) ? [this.at] : []
  }

  do(name, more = {}) {
    const alone = name === "undo" || name === "redo"
    const paths = alone ? [] : this.targets()
    if (alone ? !this.data[name] : !paths.length) return
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-")
    const everything = !alone && this.everything
    const { view, session } = this.data
    this.waiting.push({ id, name, paths, everything, view, session, ...more })
    if (!alone) this.chooseNone()
    this.toggle(null)
    this.draw()
    this.send()
  }

  moveTo(typed) {
    const value = typed.trim()
    if (value) this.do("move", { value })
  }

  /** Streamlit keeps only the last of several triggers, drops them while its connection is down, and a server that was
   * started again runs no callback at first: so all that wait are told together, until Python has seen them. */
  async send() {
    const frame = document.querySelector("[data-test-connection-state]")
    while (this.root && frame && frame.dataset.testConnectionState !== "CONNECTED") {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    clearTimeout(this.again)
    if (!this.root || !this.waiting.length) return
    this.act([...this.waiting])
    this.again = setTimeout(() => this.send(), TELL_AGAIN)
  }

  open(tile) {
    if (tile) this.closer.show(tile.dataset.path)
  }

  toggle(name) {
    const opened = name && this.targets().length && this.find(`.${name}`).hidden ? name : null
    for (const row of ["moving", "reasons"]) this.find(`.${row}`).hidden = row !== opened
    this.find(".move").setAttribute("aria-expanded", opened === "moving")
    this.find(".aside").setAttribute("aria-expanded", opened === "reasons")
    if (opened === "moving") {
      this.find(".name").value = ""
      this.drawMoving()
      this.find(".name").focus()
    }
    if (opened === "reasons") this.find(".reasons button").focus()
  }
}

// Which epoch is looked at: the newest while a run trains, afterwards any, by slider, keyboard or one after the other.
// epochs.py puts epochs_draw.js before this.

const WHOLE_SECONDS = 15 // that playing all epochs takes, about
const STEP_SECONDS = { least: 0.15, most: 0.8, calm: 1 } // calm: where somebody asked for less motion

// By run: a rerun or a reconnect may make the element anew, and it shows the epoch that it showed.
const looked = new Map()
const players = new WeakMap()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".epochs")
  if (!data || !root) return
  if (!players.has(root)) players.set(root, new Player(root))
  players.get(root).take(data)
  // Streamlit also ends a turn that a newer one overtook: stop only where the element is gone from the page.
  return () => setTimeout(() => root.isConnected || players.get(root).end())
}

class Player extends Sheet {
  constructor(root) {
    super(root)
    this.slider = this.find("input")
    this.slider.oninput = () => this.go(Number(this.slider.value), true)
    this.find(".play").onclick = () => (this.timer ? this.stop() : this.play())
    this.find(".to-best").onclick = () => this.go(this.data.best, true)
  }

  take(data) {
    this.prepare(data)
    const { epochs, live, best, text } = data
    this.root.setAttribute("aria-label", text.label)
    this.find(".bar").hidden = live || epochs.length < 2
    if (!live) this.prepareBar()
    const last = epochs.length - 1
    const at = live ? last : looked.get(data.key) ?? (best < 0 ? last : best)
    this.show(Math.min(last, at))
  }

  prepareBar() {
    const { slider, text, data } = this
    slider.max = data.epochs.length - 1
    slider.setAttribute("aria-label", text.slider)
    this.find(".bar").setAttribute("aria-label", text.label)
    write(this.find(".to-best"), text.best)
    this.find(".to-best").hidden = data.best < 0
    this.drawPlay()
    const marks = this.find(".marks")
    const told = JSON.stringify([data.best, data.epochs.length])
    if (marks.dataset.told === told) return
    marks.dataset.told = told
    marks.replaceChildren(...this.marks())
  }

  /** Where each phase begins, and the best epoch. */
  marks() {
    const { data, text } = this
    const last = Math.max(1, data.epochs.length - 1)
    const mark = (name, place, label) => {
      const node = made("span", { className: name })
      node.style.setProperty("--at", place / last)
      node.append(made("span", { textContent: label }))
      return node
    }
    const begins = ["head", "finetune"].map((phase) => [phase, data.epochs.findIndex((one) => one.phase === phase)])
    const phases = begins.filter(([, place]) => place >= 0)
    const nodes = phases.length > 1 ? phases.map(([phase, place]) => mark("phase", place, text[`mark_${phase}`])) : []
    return data.best < 0 ? nodes : [...nodes, mark("best", data.best, text.mark_best)]
  }

  go(place, byHand) {
    if (byHand) this.stop()
    looked.set(this.data.key, place)
    this.show(place)
  }

  show(place) {
    const epoch = this.data.epochs[place]
    this.place = place
    this.drawAnswers(epoch.answers)
    this.drawMatrix(epoch.cells)
    const where = this.where(epoch, place)
    write(this.find(".where"), where)
    if (Number(this.slider.value) !== place) this.slider.value = place
    this.slider.setAttribute("aria-valuetext", where)
    this.slider.style.setProperty("--done", place / Math.max(1, this.data.epochs.length - 1))
  }

  where({ phase, epoch, of, cells }, place) {
    const { text, data } = this
    const n = cells.reduce((sum, [, , count]) => sum + count, 0)
    const right = cells.reduce((sum, [row, column, count]) => sum + (row === column ? count : 0), 0)
    const share = fill(text.percent, { value: Math.round((100 * right) / Math.max(1, n)) })
    const parts = [
      fill(text[`${data.live ? "live" : "at"}.${phase}`], { epoch, of }),
      `${fill(n === 1 ? text.accuracy.one : text.accuracy.other, { right, n })} (${share})`,
    ]
    return [...parts, ...(!data.live && place === data.best ? [text.is_best] : [])].join(" · ")
  }

  // One after the other

  play() {
    const last = this.data.epochs.length - 1
    // Whoever hasn't moved yet wants to see it from the beginning.
    if (this.place >= last || !looked.has(this.data.key)) this.go(0, false)
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches
    const { least, most, calm: slow } = STEP_SECONDS
    const wanted = WHOLE_SECONDS / Math.max(1, last)
    const seconds = calm ? slow : Math.min(most, Math.max(least, wanted))
    const step = Math.max(1, Math.round(seconds / (4 * wanted))) // thousands of epochs: some are passed over
    this.timer = setInterval(() => {
      this.go(Math.min(this.data.epochs.length - 1, this.place + step), false)
      if (this.place >= this.data.epochs.length - 1) this.stop()
    }, 1000 * seconds)
    this.drawPlay()
  }

  stop() {
    clearInterval(this.timer)
    this.timer = null
    this.drawPlay()
  }

  drawPlay() {
    const button = this.find(".play")
    button.classList.toggle("playing", Boolean(this.timer))
    write(button.querySelector("span"), this.timer ? this.text.stop : this.text.play)
  }

  end() {
    clearInterval(this.timer)
    this.timer = null
    this.watcher?.disconnect()
  }
}

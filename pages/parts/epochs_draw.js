// How an epoch looks: the photos with their answers, and the matrix. epochs.py joins this file with epochs.js.

const MOST_IN_A_TABLE = 30 // classes up to which each cell of the matrix has room for its count
const NAMED = 3 // mix-ups that are told in words
const SIGNS = { right: "M4 13l5 5L20 6", wrong: "M6 6l12 12M18 6L6 18" }

class Sheet {
  constructor(root) {
    this.root = root
    this.find = (selector) => root.querySelector(selector)
    this.tiles = []
    this.cells = new Map()
    this.spots = []
  }

  /** What is the same in every epoch. Nodes stay where they are as long as photos and classes do. */
  prepare(data) {
    const { text, photos, classes } = data
    Object.assign(this, { data, text })
    const { find } = this
    find(".photos").setAttribute("aria-label", text.photos)
    find(".photos").hidden = !photos.length
    const shown = JSON.stringify(photos.map(({ name }) => name))
    if (shown !== this.shown) {
      this.shown = shown
      this.tiles = photos.map((photo) => this.newTile(photo))
      find(".photos").replaceChildren(...this.tiles.map(({ node }) => node))
    }
    photos.forEach((photo, place) => this.load(this.tiles[place], photo))
    find(".axes").textContent = text.matrix
    if (this.named !== JSON.stringify(classes)) {
      this.named = JSON.stringify(classes)
      this.newMatrix(classes)
    }
  }

  // Photos

  newTile({ name, target }) {
    const { text, data } = this
    const node = made("li", { className: "tile", title: name })
    const frame = made("div", { className: "frame" })
    const gone = made("p", { className: "gone", hidden: true })
    gone.append(made("span", { textContent: name }), made("small", { textContent: text.gone }))
    const picture = made("img", { alt: fill(text.photo, { name }), decoding: "async", draggable: false })
    picture.onerror = () => this.instead(gone, picture, true)
    picture.onload = () => this.instead(gone, picture, false)
    frame.append(picture, gone)
    const label = data.classes[target]
    const shows = made("p", { className: "shows", title: label, textContent: fill(text.shows, { label }) })
    const said = made("p", { className: "said" })
    const sign = drawn("svg", { viewBox: "0 0 24 24", class: "sign", "aria-hidden": "true" })
    sign.append(drawn("path", { d: "" }))
    const [verdict, called, share] = ["verdict", "label", "share"].map((className) => made("span", { className }))
    said.append(sign, verdict, called, share)
    const certainty = made("div", { className: "certainty" })
    certainty.setAttribute("aria-hidden", "true") // the number beside it says the same
    certainty.append(made("span"))
    node.append(frame, shows, said, certainty)
    return { node, picture, gone, sign: sign.firstChild, verdict, label: called, share, bar: certainty.firstChild }
  }

  instead(gone, picture, missing) {
    gone.hidden = !missing
    picture.hidden = missing
  }

  load({ picture, gone }, { source }) {
    if (picture.dataset.source === source) return
    picture.dataset.source = source
    if (!source) return this.instead(gone, picture, true)
    const routed = source.endsWith("side=")
    if (routed) picture.srcset = `${source}160 1x, ${source}320 2x`
    picture.src = routed ? `${source}160` : source
  }

  drawAnswers(answers) {
    const { text, data, tiles } = this
    answers.forEach(([said, sure], place) => {
      const tile = tiles[place]
      const verdict = said === data.photos[place].target ? "right" : "wrong"
      write(tile.verdict, text[verdict])
      write(tile.label, data.classes[said])
      tile.label.title = data.classes[said] // for names that are too long for their line
      write(tile.share, fill(text.percent, { value: Math.round(100 * sure) }))
      if (tile.node.dataset.verdict !== verdict) {
        tile.node.dataset.verdict = verdict
        tile.sign.setAttribute("d", SIGNS[verdict])
      }
      tile.bar.style.width = `${(100 * sure).toFixed(1)}%`
    })
  }

  // The matrix

  newMatrix(classes) {
    const scroller = this.find(".scroller")
    this.cells.clear()
    this.spots = []
    const many = classes.length > MOST_IN_A_TABLE
    this.field = many ? made("div", { className: "field" }) : null
    if (many) this.field.setAttribute("role", "img")
    scroller.replaceChildren(many ? this.field : this.newTable(classes))
    this.watchWidth(scroller)
  }

  newTable(classes) {
    const table = made("table", {})
    table.dataset.size = classes.length > 14 ? "small" : classes.length > 7 ? "middle" : "large"
    table.append(made("caption", { className: "unseen", textContent: this.text.matrix }))
    const head = made("tr", {})
    head.append(made("td", {}), ...classes.map((name) => header(name, "col")))
    table.append(made("thead", {}), made("tbody", {}))
    table.tHead.append(head)
    classes.forEach((name, row) => {
      const line = made("tr", {})
      line.append(header(name, "row"))
      classes.forEach((_, column) => {
        const cell = made("td", {})
        line.append(cell)
        this.cells.set(row * classes.length + column, cell)
      })
      table.tBodies[0].append(line)
    })
    return table
  }

  /** What is wider than the page scrolls by itself, by keyboard too. */
  watchWidth(scroller) {
    this.watcher?.disconnect()
    this.watcher = new ResizeObserver(() => {
      const wide = scroller.scrollWidth > scroller.clientWidth + 1
      if (wide === (scroller.tabIndex === 0)) return
      if (!wide) return ["tabindex", "role", "aria-label"].forEach((name) => scroller.removeAttribute(name))
      scroller.tabIndex = 0
      scroller.setAttribute("role", "group")
      scroller.setAttribute("aria-label", this.text.scroll)
    })
    this.watcher.observe(scroller)
    this.watcher.observe(scroller.firstChild)
  }

  drawMatrix(cells) {
    const { classes } = this.data
    const totals = new Map()
    for (const [row, , count] of cells) totals.set(row, (totals.get(row) ?? 0) + count)
    if (this.field) this.drawField(cells, totals)
    else this.drawTable(new Map(cells.map(([row, column, count]) => [row * classes.length + column, count])), totals)
    const told = this.told(cells)
    write(this.find(".mistakes"), told)
    this.field?.setAttribute("aria-label", `${this.text.matrix} ${told}`)
  }

  drawTable(counts, totals) {
    const { classes } = this.data
    for (const [place, node] of this.cells) {
      const [row, column] = [Math.floor(place / classes.length), place % classes.length]
      const n = counts.get(place) ?? 0
      const share = n / Math.max(1, totals.get(row) ?? 0)
      const look = `${n} ${share.toFixed(3)}`
      if (node.dataset.look === look) continue
      node.dataset.look = look
      node.textContent = n
      node.classList.toggle("zero", !n)
      node.title = fill(this.text.cell, { true: classes[row], said: classes[column], n })
      node.style.backgroundColor = shade(share)
      node.style.color = share >= 0.5 ? "var(--text-high)" : "var(--text-low)"
    }
  }

  /** A point for each cell that holds photos: a table of 300 classes has 90,000 cells, nearly all of them empty. */
  drawField(cells, totals) {
    const { classes } = this.data
    while (this.spots.length < cells.length) this.spots.push(this.field.appendChild(made("span", {})))
    this.spots.forEach((spot, place) => {
      spot.hidden = place >= cells.length
      if (spot.hidden) return
      const [row, column, n] = cells[place]
      spot.style.cssText = `left:${(100 * column) / classes.length}%;top:${(100 * row) / classes.length}%;` +
        `width:${100 / classes.length}%;height:${100 / classes.length}%;` +
        `background-color:${shade(Math.max(0.25, n / totals.get(row)))}`
      spot.title = fill(this.text.cell, { true: classes[row], said: classes[column], n })
    })
  }

  told(cells) {
    const { text, data } = this
    const wrong = cells.filter(([row, column]) => row !== column).sort((one, other) => other[2] - one[2])
    if (!wrong.length) return text.none
    const pairs = wrong.slice(0, NAMED).map(([row, column, n]) =>
      fill(text.pair, { true: data.classes[row], said: data.classes[column], n }))
    return fill(text.most, { pairs: pairs.join(", ") })
  }
}

function header(name, scope) {
  const node = made("th", { scope, title: name })
  node.append(made("span", { textContent: name }))
  return node
}

/** From none over half to all of a row, as the matrix on the results page has it. */
function shade(share) {
  const [from, to, part] = share <= 0.5 ? ["none", "half", 2 * share] : ["half", "all", 2 * share - 1]
  return `color-mix(in srgb, var(--share-${to}) ${(100 * part).toFixed(1)}%, var(--share-${from}))`
}

function fill(pattern, values) {
  return pattern.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? values[name].toLocaleString() : values[name]))
}

/** Only what differs: a screen reader hears, and a test sees, what has changed. */
function write(node, words) {
  if (node.textContent !== words) node.textContent = words
}

function made(name, properties) {
  return Object.assign(document.createElement(name), properties)
}

function drawn(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value)
  return node
}

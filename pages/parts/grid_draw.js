// How the grid looks: its tiles, its buttons, and what they say. grid.py joins this file with grid.js into one module.

class Drawn {
  draw() {
    const { data, find, root } = this
    const photos = find(".photos")
    const held = photos.contains(root.getRootNode().activeElement)
    const before = this.order.indexOf(this.at)
    this.order = data.tiles.map(({ path }) => path)
    const shown = new Set(this.order)
    for (const path of this.chosen) if (!shown.has(path)) this.chosen.delete(path)
    const nodes = data.tiles.map((tile) => this.drawTile(tile))
    if (nodes.length !== photos.children.length || nodes.some((node, place) => photos.children[place] !== node)) {
      const { scrolled } = this // emptying it scrolls it
      photos.replaceChildren(...nodes)
      photos.scrollTop = this.scrolled = scrolled
      for (const path of this.tiles.keys()) if (!shown.has(path)) this.tiles.delete(path)
    }
    if (!shown.has(this.at)) this.at = this.order[Math.min(Math.max(0, before), this.order.length - 1)] ?? null
    if (!shown.has(this.anchor)) this.anchor = null
    this.drawWords()
    this.drawChosen()
    this.drawStop()
    if (held) this.tiles.get(this.at)?.focus({ preventScroll: true })
  }

  drawTile(tile) {
    const { data } = this
    const node = this.tiles.get(tile.path) ?? this.newTile(tile)
    const [picture, badge, caption] = ["img", ".badge", ".caption"].map((selector) => node.querySelector(selector))
    const address = `${data.small}${tile.sha256}?token=${data.token}&side=`
    if (picture.dataset.address !== address) {
      picture.dataset.address = address
      picture.src = `${address}160`
      picture.srcset = `${address}160 1x, ${address}320 2x`
    }
    picture.alt = tile.alt
    badge.textContent = tile.badge
    badge.hidden = !tile.badge
    caption.textContent = tile.caption
    caption.hidden = !tile.caption
    node.dataset.tone = tile.tone
    node.title = tile.path
    node.setAttribute("aria-label", [tile.alt, tile.badge].filter(Boolean).join(", "))
    node.classList.toggle("waiting", this.waiting.some(({ paths }) => paths.includes(tile.path)))
    return node
  }

  newTile({ path }) {
    const node = made("div", { className: "tile", role: "option" })
    node.dataset.path = path
    const picture = made("img", { loading: "lazy", decoding: "async", draggable: false })
    const tick = made("span", { className: "tick" })
    tick.setAttribute("aria-hidden", "true")
    node.append(picture, tick, made("span", { className: "badge" }), made("span", { className: "caption" }))
    this.tiles.set(path, node)
    return node
  }

  drawWords() {
    const { data, find, text } = this
    const none = !data.tiles.length
    const photos = find(".photos")
    photos.setAttribute("aria-label", data.label)
    photos.hidden = none
    find(".nothing").hidden = !none
    find(".nothing").textContent = data.nothing
    find(".buttons").setAttribute("aria-label", text.buttons)
    for (const name of ["all", "none", "look", "move", "aside", "back", "forget"]) find(`.${name}`).textContent = text[name]
    for (const name of ["move", "aside", "back", "forget"]) find(`.${name}`).hidden = !data.actions.includes(name)
    find(".bar").hidden = find(".keys").hidden = none
    find(".keys").textContent = data.actions.length ? text.keys : text.keys_choose
    find(".name").placeholder = text.name
    find(".name").setAttribute("aria-label", text.name)
    find(".reasons").setAttribute("aria-label", text.why)
    find(".reasons").replaceChildren(
      made("p", { textContent: text.why }),
      ...data.reasons.map(({ word, text: textContent }) => {
        const button = made("button", { type: "button", textContent })
        button.onclick = () => this.do("aside", { value: word })
        return button
      }),
    )
    if (!find(".moving").hidden) this.drawMoving()
  }

  countText() {
    const n = this.everything ? this.data.total : this.chosen.size
    return n ? fillIn(this.text.chosen, { n }) : fillIn(this.text.none_chosen, { n: this.data.total })
  }

  drawChosen() {
    const { data, find, chosen, order } = this
    for (const [path, node] of this.tiles) node.setAttribute("aria-selected", String(chosen.has(path)))
    find(".count").textContent = this.countText()
    const nothing = !chosen.size
    for (const name of ["none", "look", "move", "aside", "back", "forget"]) find(`.${name}`).disabled = nothing
    find(".all").disabled = chosen.size === order.length
    const more = !nothing && chosen.size === order.length && data.total > order.length
    find(".everything").hidden = !more || this.everything
    find(".everything").textContent = fillIn(this.text.everything, { n: data.total })
    if (nothing && !find(".reasons").hidden && !this.tiles.has(this.at)) this.toggle(null)
    if (!find(".moving").hidden) this.drawMoving()
  }

  /** One tile takes the Tab key; the arrows do the rest. */
  drawStop() {
    for (const [path, node] of this.tiles) node.tabIndex = path === this.at ? 0 : -1
  }

  drawMoving() {
    const { data, find, text } = this
    const typed = find(".name").value.trim()
    const same = (one, other) => one.normalize("NFC").toLowerCase() === other.normalize("NFC").toLowerCase()
    const known = data.classes.find(({ name }) => same(name, typed))
    const n = this.everything ? data.total : this.targets().length
    const words = !typed ? "" : known ? text.moves_to : text.moves_to_new
    find(".going").textContent = words && fillIn(words, { n, label: known?.name ?? typed })
    find(".moving [type=submit]").textContent = text.move_now
    find(".moving [type=submit]").disabled = !typed
    const fitting = data.classes.map((one, place) => ({ ...one, place }))
      .filter(({ name }) => name.toLowerCase().includes(typed.toLowerCase()))
    find(".classes").replaceChildren(...fitting.slice(0, 40).map(({ name, n: count, place }) => {
      const button = made("button", { type: "button" })
      if (place < 9) button.append(made("kbd", { textContent: place + 1 }))
      button.append(made("span", { textContent: name }), made("small", { textContent: count.toLocaleString() }))
      button.setAttribute("aria-label", fillIn(text.moves_to, { n, label: name }))
      button.onclick = () => this.moveTo(name)
      return button
    }))
  }

  say(words) {
    this.find(".spoken").textContent = words
  }
}

function fillIn(entry, values) {
  const words = typeof entry === "string" ? entry : values.n === 1 ? entry.one : entry.other
  return words.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? values[name].toLocaleString() : values[name]))
}

function made(name, properties) {
  return Object.assign(document.createElement(name), properties)
}

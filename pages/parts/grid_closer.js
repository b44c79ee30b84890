// One photo of the grid, as large as the window allows: all of it, not only the square in its middle.
// grid.py joins this file with grid.js into one module.

class Closer {
  constructor(grid) {
    this.grid = grid
    this.dialog = grid.find(".closer")
    const pressed = {
      ".before": () => this.go(-1), ".after": () => this.go(1), ".pick": () => this.pick(), ".close": () => this.dialog.close(),
    }
    for (const [selector, handler] of Object.entries(pressed)) grid.find(`.closer ${selector}`).onclick = handler
    this.dialog.onclose = () => grid.focusTile(this.path)
    this.dialog.onclick = (event) => event.target === this.dialog && this.dialog.close() // beside it
    this.dialog.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
      if (step) this.go(step)
      event.stopPropagation()
    }
  }

  show(path) {
    this.path = path
    this.draw()
    if (!this.dialog.open) this.dialog.showModal()
    this.grid.find(".closer .pick").focus()
  }

  go(step) {
    const { order } = this.grid
    const to = order[order.indexOf(this.path) + step]
    if (to) this.show(to)
  }

  pick() {
    this.grid.flip(this.path)
    this.draw()
  }

  draw() {
    const { data, text, order, chosen, find } = this.grid
    const place = order.indexOf(this.path)
    const tile = data.tiles[place]
    if (!tile) return
    const picture = find(".closer img")
    picture.src = `${data.large}${tile.sha256}?token=${data.token}`
    picture.alt = tile.alt
    find(".closer .what").textContent = tile.alt
    find(".closer .size").textContent = [tile.size, tile.badge].filter(Boolean).join(" · ")
    this.dialog.setAttribute("aria-label", tile.alt)
    for (const [name, words] of [["before", text.before], ["after", text.after], ["close", text.close]]) {
      find(`.closer .${name}`).setAttribute("aria-label", words)
      find(`.closer .${name}`).title = words
    }
    find(".closer .before").disabled = place <= 0
    find(".closer .after").disabled = place >= order.length - 1
    find(".closer .pick").textContent = chosen.has(this.path) ? text.unpick : text.pick
    find(".closer .pick").setAttribute("aria-pressed", chosen.has(this.path))
  }
}

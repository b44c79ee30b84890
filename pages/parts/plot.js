// Keeps one plotly node for each element and hands it every new figure: zoom, legend and node survive.

const places = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  if (!data) return;
  const place = places.get(parentElement) ?? begin(parentElement);
  place.turn += 1;
  place.data = data;
  place.tell = (point) => setTriggerValue("clicked", point);
  place.choose = (points) => setTriggerValue("selected", { points });
  describe(place);
  redraw(place);
  const turn = place.turn;
  // Streamlit also calls the clean-up of a turn that a newer one overtook: end only what is gone from the page.
  return () => setTimeout(() => {
    if (place.turn === turn && !place.frame.isConnected) end(place);
  });
}

function begin(parentElement) {
  const frame = document.createElement("div");
  frame.className = "graft-plot";
  const text = document.createElement("p");
  text.hidden = true;
  const scroller = document.createElement("div");
  scroller.className = "graft-plot-scroller";
  const node = document.createElement("div");
  node.className = "graft-plot-node";
  scroller.append(node);
  frame.append(text, scroller);
  parentElement.append(frame);
  const place = { parentElement, frame, text, scroller, node, turn: 0, drawn: {} };
  place.watcher = new ResizeObserver(() => redraw(place));
  place.watcher.observe(frame);
  place.wake = () => redraw(place);
  document.addEventListener("visibilitychange", place.wake);
  places.set(parentElement, place);
  return place;
}

function end(place) {
  place.ended = true;
  place.watcher.disconnect();
  document.removeEventListener("visibilitychange", place.wake);
  cancelAnimationFrame(place.waiting);
  if (place.listening) window.Plotly.purge(place.node);
  place.frame.remove();
  places.delete(place.parentElement);
}

function describe({ text, scroller, node, data }) {
  text.textContent = data.alt;
  scroller.style.minHeight = `${data.height}px`;
  node.classList.toggle("graft-plot-clickable", data.clickable);
}

function redraw(place) {
  cancelAnimationFrame(place.waiting);
  place.waiting = requestAnimationFrame(() => {
    load(place.data.library).then(() => draw(place), () => sayInstead(place, true));
  });
}

// One script element for the whole page, whatever the number of charts.
function load(address) {
  if (window.Plotly) return Promise.resolve();
  window.graftPlotly ??= new Promise((ready, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = ready;
    script.onerror = () => {
      script.remove();
      window.graftPlotly = undefined;
      failed();
    };
    document.head.append(script);
  });
  return window.graftPlotly;
}

// Without the library the sentence stands where the chart would.
function sayInstead({ text, scroller }, failed) {
  text.hidden = !failed;
  scroller.hidden = failed;
}

function draw(place) {
  const { data, frame, node, scroller, drawn } = place;
  const seen = frame.clientWidth;
  // A hidden tab or page has no width: the observer and the wake-up call come back here.
  if (place.ended || document.hidden || !seen || !frame.isConnected) return;
  const theme = themeOf(frame);
  if (drawn.figure === data.figure && drawn.width === seen && drawn.theme === theme.name) return;
  const figure = translate(JSON.parse(data.figure), theme.dark ? data.swaps : {});
  const { minimum_width: least = 0, maximum_width: most = Infinity } = figure.layout.meta ?? {};
  const width = Math.max(least, Math.min(seen, most));
  figure.layout.width = width;
  figure.layout.height = data.height;
  figure.layout.font = { ...figure.layout.font, family: theme.font };
  // A finger scrolls the page; it must not be caught by a chart that zooms.
  const touched = matchMedia("(pointer: coarse)").matches;
  if (touched) figure.layout.dragmode = false;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) delete figure.layout.transition;
  sayInstead(place, false);
  allowScrolling(scroller, width > seen, data.words);
  place.drawn = { figure: data.figure, width: seen, theme: theme.name };
  window.Plotly.react(node, figure.data, figure.layout, settings(figure.layout, data, touched));
  name(node, data.alt);
  if (!place.listening) listen(place);
}

// One image with the sentence as its name; the buttons beside it stay buttons.
function name(node, alt) {
  const [picture, ...layers] = node.querySelectorAll(".main-svg");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", alt);
  for (const layer of layers) layer.setAttribute("aria-hidden", "true");
}

function listen(place) {
  place.listening = true;
  place.node.on("plotly_click", (event) => {
    const point = event.points.find((one) => one.customdata !== undefined);
    if (place.data.clickable && point) place.tell([...point.customdata]);
  });
  // A click without a line ends a lasso as well, without an event; a figure that takes the line away has no lines.
  place.node.on("plotly_selected", (event) => {
    if (place.data.selectable && event?.selections?.length) place.choose(marked(event.points));
  });
  place.node.on("plotly_deselect", () => {
    if (place.data.selectable) place.choose([]);
  });
}

function marked(points) {
  return points.filter((one) => one.customdata !== undefined).map((one) => [...one.customdata]);
}

// What is wider than the page scrolls by itself, by keyboard too.
function allowScrolling(scroller, wide, words) {
  if (wide) {
    scroller.tabIndex = 0;
    scroller.setAttribute("role", "group");
    scroller.setAttribute("aria-label", words.scroll);
  } else {
    for (const name of ["tabindex", "role", "aria-label"]) scroller.removeAttribute(name);
  }
}

function settings(layout, { words, selectable }, touched) {
  const axes = Object.entries(layout).filter(([name]) => /^[xy]axis\d*$/.test(name));
  const still = axes.every(([, axis]) => axis.fixedrange);
  return {
    displaylogo: false,
    displayModeBar: still || touched ? false : "hover",
    modeBarButtons: [[...(selectable ? ["lasso2d", "select2d"] : []), "zoom2d", "pan2d", "resetScale2d", "toImage"]],
    doubleClick: "reset",
    showTips: true,
    locale: "graft",
    locales: { graft: { dictionary: words, format: {} } },
  };
}

function themeOf(frame) {
  const style = getComputedStyle(frame);
  const background = style.getPropertyValue("--st-background-color").trim();
  const font = style.getPropertyValue("--st-font").trim();
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(background.slice(at, at + 2), 16));
  const dark = 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  return { dark, font, name: `${background} ${font}` };
}

// A deep copy (plotly writes into what it is given) with each colour in its dark partner; texts are left alone.
function translate(value, swaps, colour = false) {
  if (Array.isArray(value)) return value.map((one) => translate(one, swaps, colour));
  if (value !== null && typeof value === "object") {
    const pairs = Object.entries(value);
    return Object.fromEntries(pairs.map(([name, one]) => [name, translate(one, swaps, colour || /color/i.test(name))]));
  }
  return colour && typeof value === "string" ? (swaps[value.toUpperCase()] ?? value) : value;
}

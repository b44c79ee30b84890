// A network as a grafted shoot. Left to right where there is room, growing upwards from the photo on a phone.

const SVG = "http://www.w3.org/2000/svg";
const NARROW = 640; // pixels below which the shoot grows upwards
const QUIET = 350; // milliseconds without another key before Python hears of the new depth
const CUT = 44; // pixels that open between the stages where the cut is
const SEAM = 26; // and where copied stages end and new ones begin
const KINDS = ["frozen", "trains", "new"];
// Drawn around (0, 0), 14 pixels wide.
const FLAKE = "M0-7V7M-6-3.5 6 3.5M-6 3.5 6-3.5M-2-6 0-4.5 2-6M-2 6 0 4.5 2 6";
const SEED = "M0-7C5-3 5 3 0 7-5 3-5-3 0-7ZM0-2V7";
const SPROUT = "M0 7V-1C-5-1-7-3-7-7-3-7-.5-5 0-1 .5-5 3-7 7-7 7-3 5-1 0-1";

const places = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  if (!data) return;
  const place = places.get(parentElement) ?? begin(parentElement);
  place.turn += 1;
  place.tell = (depth) => setTriggerValue("depth", depth);
  // Python's word counts when it changes; until then the user's own move stands.
  if (place.data?.frozen !== data.frozen) place.frozen = place.told = data.frozen;
  const same = place.data && alike(place.data, data);
  place.data = data;
  place.frozen = Math.min(place.frozen, data.stages.length);
  if (!same) place.layout = undefined;
  show(place);
  const turn = place.turn;
  // Streamlit also calls the clean-up of a turn that a newer one overtook: end only what is gone from the page.
  return () => setTimeout(() => {
    if (place.turn === turn && !place.figure.isConnected) end(place);
  });
}

// Whether nothing but the cut and the seam has moved.
function alike(before, after) {
  const drawn = ({ stages, words, copied }) => JSON.stringify([stages, words, copied < stages.length]);
  return drawn(before) === drawn(after);
}

function begin(parentElement) {
  const figure = document.createElement("figure");
  const stage = document.createElement("div");
  stage.className = "stage";
  const svg = make("svg", { role: "img", "aria-labelledby": "caption" });
  const handle = document.createElement("div");
  handle.className = "handle";
  handle.append(grip());
  const caption = document.createElement("figcaption");
  caption.id = "caption";
  const hint = document.createElement("p");
  hint.className = "hint";
  stage.append(svg, handle);
  figure.append(stage, caption, hint);
  parentElement.append(figure);
  const place = { parentElement, figure, stage, svg, handle, caption, hint, turn: 0, frozen: 0 };
  place.watcher = new ResizeObserver(() => show(place));
  place.watcher.observe(stage);
  listen(place);
  places.set(parentElement, place);
  return place;
}

function end(place) {
  place.watcher.disconnect();
  clearTimeout(place.waiting);
  place.figure.remove();
  places.delete(place.parentElement);
}

// --- drawing -----------------------------------------------------------------------------------------------------

function show(place) {
  const width = place.stage.clientWidth;
  if (!width || !place.data) return; // a hidden tab; the observer calls again
  if (place.layout?.width !== width) {
    place.layout = arrange(place.data, width);
    draw(place);
  }
  update(place);
}

// Where everything lies. `along` runs from the photo to the head, `across` is the other way.
function arrange({ stages, copied }, width) {
  const upright = width < NARROW;
  const gaps = CUT + (copied < stages.length ? SEAM : 0);
  const pitch = upright ? 50 : (width - 96 - 128 - gaps) / stages.length;
  const length = upright ? 84 + stages.length * pitch + gaps + 106 : width;
  const sizes = stages.map((stage) => Math.log2(Math.max(1, stage.resolution)));
  const depths = stages.map((stage) => Math.log2(stage.channels));
  const thickest = upright ? 34 : Math.min(60, pitch * 0.66);
  const blocks = stages.map((_, at) => ({
    across: between(sizes[at], 2, 7, upright ? 44 : 46, upright ? 112 : 132),
    along: between(depths[at], 4, 11.3, upright ? 22 : 24, thickest),
  }));
  const first = upright ? 84 : 96;
  const middle = upright ? 74 : 128;
  // A point on the page from its place along and across.
  const point = (along, across = 0) => (upright ? [middle + across, length - along] : [along, middle + across]);
  const centre = (at, frozen, seam) =>
    first + (at + 0.5) * pitch + (at >= frozen ? CUT : 0) + (at >= seam ? gaps - CUT : 0);
  const cut = (frozen) => first + frozen * pitch + CUT / 2;
  const seam = (copied) => first + copied * pitch + CUT + SEAM / 2;
  const head = first + stages.length * pitch + gaps + (upright ? 28 : 26);
  return { width, height: upright ? length : 238, upright, first, middle, length, blocks, point, centre, cut, seam, head };
}

function between(value, low, high, from, to) {
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return from + share * (to - from);
}

function draw(place) {
  const { svg, layout, data } = place;
  const { upright, width, height } = layout;
  svg.replaceChildren(patterns());
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  place.figure.classList.toggle("upright", upright);
  place.stems = KINDS.map((kind) => svg.appendChild(make("path", { class: `stem ${kind}` })));
  drawPhoto(svg, layout, data.words.photo);
  place.groups = data.stages.map((stage, at) => drawStage(svg, layout, stage, at, place));
  place.head = drawHead(svg, layout, data.words);
  place.seam = svg.appendChild(make("path", { class: "seam", d: upright ? "M-64 0H64" : "M0-78V78" }));
  place.cut = svg.appendChild(make("g", { class: "cut" }));
  place.cut.append(make("path", { class: "knife", d: upright ? "M-64 13 64-13" : "M-13 82 13-82" }));
  place.cut.append(make("path", { class: "wax", d: upright ? "M-11 9-11-5 11-9 11 5Z" : "M-9 11 -5-11 9-11 5 11Z" }));
  place.labels = KINDS.map((kind) => drawLabel(svg, kind, data.words[kind]));
}

function drawPhoto(svg, layout, word) {
  const [x, y] = layout.point(layout.upright ? 34 : 36);
  const group = make("g", { class: "photo", transform: `translate(${x} ${y})` });
  group.append(
    make("rect", { x: -26, y: -22, width: 52, height: 44, rx: 5 }),
    make("path", { class: "hill", d: "M-21 17-8-2 1 9 8 1 21 17Z" }),
    make("circle", { class: "sun", cx: 11, cy: -10, r: 4.5 }),
  );
  svg.append(group);
  label(svg, layout, layout.upright ? 34 : 36, [[word, "name"]]);
}

function drawStage(svg, layout, stage, at, place) {
  const { upright } = layout;
  const { along, across } = layout.blocks[at];
  const [w, h] = upright ? [across, along] : [along, across];
  const group = make("g", { class: "block" });
  const title = make("title", {});
  title.textContent = stage.told;
  const body = make("g", {});
  body.append(
    make("rect", { class: "body", x: -w / 2, y: -h / 2, width: w, height: h, rx: 7 }),
    make("rect", { class: "ice", x: -w / 2, y: -h / 2, width: w, height: h, rx: 7 }),
    make("rect", { class: "soil", x: -w / 2, y: -h / 2, width: w, height: h, rx: 7 }),
    make("path", { class: "flake", d: FLAKE }),
    make("path", { class: "sprout", d: SPROUT }),
    make("path", { class: "seed", d: SEED }),
  );
  const text = make("g", {});
  const lines = [[stage.name, "name"], [stage.amount, "amount"]];
  label(text, { ...layout, point: () => [0, 0], middle: 0 }, 0, lines);
  group.append(title, body, text);
  group.addEventListener("click", () => {
    if (place.data.interactive) settle(place, at < place.frozen ? at : at + 1, 0);
  });
  svg.append(group);
  return group;
}

// Leaves for the classes: they grow where the answers come out.
function drawHead(svg, layout, words) {
  const [x, y] = layout.point(layout.head);
  const turn = layout.upright ? -90 : 0;
  const group = make("g", { class: "head", transform: `translate(${x} ${y})` });
  const shoot = make("g", { transform: `rotate(${turn})` });
  shoot.append(
    make("path", { class: "twig", d: "M16 0C30 0 34-14 44-20M16 0H52M16 0C30 0 34 14 44 20" }),
    make("path", { class: "leaf", d: "M40-17C42-34 56-38 72-36 70-22 58-14 40-17Z" }),
    make("path", { class: "leaf", d: "M48 0C56-11 70-11 82 0 70 11 56 11 48 0Z" }),
    make("path", { class: "leaf", d: "M40 17C42 34 56 38 72 36 70 22 58 14 40 17Z" }),
  );
  group.append(shoot, make("rect", { class: "body", x: -18, y: -18, width: 36, height: 36, rx: 9 }));
  group.append(make("rect", { class: "soil", x: -18, y: -18, width: 36, height: 36, rx: 9 }));
  group.append(make("path", { class: "sprout", d: SPROUT }), make("path", { class: "seed", d: SEED }));
  svg.append(group);
  if (layout.upright) label(svg, layout, layout.head, [[words.head, "name"], [words.classes, "amount"]]);
  else {
    label(svg, layout, layout.head, [[words.head, "name"]], -10);
    label(svg, layout, layout.head + 62, [[words.classes, "name"]]);
  }
  return group;
}

// Below its thing, or to the right of it where the shoot is upright.
function label(parent, layout, along, lines, shift = 0) {
  const [x, y] = layout.point(along);
  lines.forEach(([text, kind], at) => {
    const where = layout.upright
      ? { x: x + 76, y: y + 5 + (at - (lines.length - 1) / 2) * 17, "text-anchor": "start" }
      : { x: x + shift, y: y + 88 + at * 17, "text-anchor": "middle" };
    const node = make("text", { class: kind, ...where });
    node.textContent = text;
    parent.append(node);
  });
}

function drawLabel(svg, kind, word) {
  const group = make("g", { class: `region ${kind}` });
  const text = make("text", {});
  text.textContent = word;
  const [sign, d] = { frozen: ["flake", FLAKE], trains: ["sprout", SPROUT], new: ["seed", SEED] }[kind];
  group.append(make("path", { class: sign, d }), text);
  svg.append(group);
  return group;
}

function patterns() {
  const defs = make("defs", {});
  const ice = make("pattern", { id: "ice", width: 7, height: 7, patternUnits: "userSpaceOnUse" });
  ice.setAttribute("patternTransform", "rotate(45)");
  ice.append(make("path", { class: "scratch", d: "M0 0V7" }));
  const soil = make("pattern", { id: "soil", width: 8, height: 8, patternUnits: "userSpaceOnUse" });
  soil.append(make("circle", { class: "grain", cx: 2, cy: 2, r: 1.3 }), make("circle", { class: "grain", cx: 6, cy: 6, r: 1.3 }));
  defs.append(ice, soil);
  return defs;
}

function grip() {
  const svg = make("svg", { viewBox: "-12 -12 24 24", "aria-hidden": "true" });
  svg.append(make("path", { d: "M-4-5-9 0-4 5M4-5 9 0 4 5" }));
  return svg;
}

// What moves with the cut. Frozen noise learns nothing: where the cut goes beyond the seam, it takes it along.
function update(place) {
  const { layout, data, frozen, handle, caption, hint } = place;
  const { upright, point, cut } = layout;
  const stages = data.stages.length;
  const copied = Math.max(data.copied, frozen);
  const anew = copied < stages;
  place.groups.forEach((group, at) => {
    const [x, y] = point(layout.centre(at, frozen, copied));
    group.style.transform = `translate(${x}px, ${y}px)`;
    group.classList.toggle("frozen", at < frozen);
    group.classList.toggle("new", at >= copied);
    group.classList.toggle("movable", data.interactive);
  });
  place.head.classList.toggle("new", anew);
  const [x, y] = point(cut(frozen));
  place.cut.style.transform = `translate(${x}px, ${y}px)`;
  const seam = anew && copied > frozen ? layout.seam(copied) : cut(frozen) + 6;
  const ends = [upright ? 56 : 62, cut(frozen) - 6, cut(frozen) + 6, seam, layout.head];
  place.stems[0].setAttribute("d", line(point(ends[0]), point(ends[1])));
  place.stems[1].setAttribute("d", line(point(ends[2]), point(anew ? ends[3] : ends[4])));
  place.stems[2].setAttribute("d", anew ? line(point(ends[3]), point(ends[4])) : "");
  const [seamX, seamY] = point(layout.seam(copied));
  place.seam.style.transform = `translate(${seamX}px, ${seamY}px)`;
  place.seam.classList.toggle("absent", !anew || copied === frozen);
  place.labels[0].classList.toggle("absent", frozen === 0);
  place.labels[1].classList.toggle("absent", anew && copied === frozen);
  place.labels[2].classList.toggle("absent", !anew);
  labelRegions(place, [x, y], [seamX, seamY]);
  handle.hidden = !data.interactive;
  handle.style.left = `${x}px`;
  handle.style.top = `${y}px`;
  describe(handle, data, frozen, upright);
  caption.textContent = data.captions[frozen];
  hint.textContent = data.interactive ? data.words.hint : "";
}

function labelRegions({ labels, layout }, [x, y], [seamX, seamY]) {
  const put = (at, left, top) => (labels[at].style.transform = `translate(${left}px, ${top}px)`);
  if (layout.upright) {
    put(0, x + 86, y + 13);
    put(1, x + 86, y - 11);
    put(2, seamX + 86, seamY);
  } else {
    const within = (left) => Math.min(left, layout.width - 196);
    put(0, layout.first + 8, 12);
    put(1, within(x + 22), 12);
    put(2, within(seamX + 10), 34); // a row of its own: regions may be narrower than their names
  }
}

function line([x, y], [toX, toY]) {
  return `M${x} ${y}L${toX} ${toY}`;
}

function describe(handle, data, frozen, upright) {
  const values = {
    role: "slider",
    tabindex: 0,
    "aria-label": data.words.slider,
    "aria-orientation": upright ? "vertical" : "horizontal",
    "aria-valuemin": 0,
    "aria-valuemax": data.stages.length,
    "aria-valuenow": frozen,
    "aria-valuetext": data.captions[frozen],
  };
  for (const [name, value] of Object.entries(values)) handle.setAttribute(name, value);
}

function make(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// --- moving the cut ----------------------------------------------------------------------------------------------

function listen(place) {
  const { handle, stage } = place;
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    place.dragging = true;
  });
  handle.addEventListener("pointermove", (event) => {
    if (place.dragging) move(place, nearest(place, event, stage));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    handle.addEventListener(name, () => {
      if (place.dragging) settle(place, place.frozen, 0);
      place.dragging = false;
    });
  }
  handle.addEventListener("keydown", (event) => {
    const last = place.data.stages.length;
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -last, End: last };
    if (!(event.key in steps)) return;
    event.preventDefault();
    settle(place, place.frozen + steps[event.key], QUIET);
  });
}

function nearest({ layout, data }, event, stage) {
  const box = stage.getBoundingClientRect();
  const along = layout.upright ? layout.length - (event.clientY - box.top) : event.clientX - box.left;
  const distances = data.captions.map((_, depth) => Math.abs(layout.cut(depth) - along));
  return distances.indexOf(Math.min(...distances));
}

function move(place, depth) {
  place.frozen = Math.min(place.data.stages.length, Math.max(0, depth));
  update(place);
}

function settle(place, depth, wait) {
  move(place, depth);
  clearTimeout(place.waiting);
  place.waiting = setTimeout(() => {
    if (place.frozen !== place.told) place.tell(place.frozen);
    place.told = place.frozen;
  }, wait);
}

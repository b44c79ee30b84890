// A network as a grafted shoot. Left to right where there is room, growing upwards from the photo on a phone.

const NARROW = 640; // pixels below which the shoot grows upwards
const QUIET = 350; // milliseconds without another key before Python hears of the new depth
const CUT = 44; // pixels that open between the stages where the cut is
const SEAM = 26; // and where copied stages end and new ones begin
const KINDS = ["frozen", "trains", "new"];
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

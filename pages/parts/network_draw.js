// What the network's picture is drawn of, once a layout: the photo, the stages, the head, the cut and the names.

const SVG = "http://www.w3.org/2000/svg";
// Drawn around (0, 0), 14 pixels wide.
const FLAKE = "M0-7V7M-6-3.5 6 3.5M-6 3.5 6-3.5M-2-6 0-4.5 2-6M-2 6 0 4.5 2 6";
const SEED = "M0-7C5-3 5 3 0 7-5 3-5-3 0-7ZM0-2V7";
const SPROUT = "M0 7V-1C-5-1-7-3-7-7-3-7-.5-5 0-1 .5-5 3-7 7-7 7-3 5-1 0-1";

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

function make(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// A demo of one network: photos go in, answers come out, and nothing leaves this page.

const card = JSON.parse(document.getElementById("card").textContent);
const words = card.words;
const TOP = 5; // classes that an answer names
const KEPT_ANSWERS = 100; // a phone holds no more pictures
const LIVE_PAUSE = 150; // milliseconds between two looks of the camera, so that a phone stays cool
const element = (id) => document.getElementById(id);
let network = null; // {session, Tensor}
let queue = Promise.resolve(); // photos are looked at one after the other

function say(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

function tell(text, wrong = false) {
  element("state").textContent = text;
  element("state").classList.toggle("wrong", wrong);
}

async function unpacked(id) {
  const script = element(id);
  const text = script.textContent;
  script.remove();
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load() {
  const address = URL.createObjectURL(new Blob([await unpacked("runtime")], { type: "text/javascript" }));
  const { env, InferenceSession, Tensor } = await import(address);
  env.wasm.numThreads = 1; // more need headers that a file hasn't got
  env.wasm.wasmBinary = await unpacked("wasm");
  const session = await InferenceSession.create(await unpacked("model"), { executionProviders: ["wasm"] });
  network = { session, Tensor };
}

// The three things the network says of a picture: see `Whole` in Graft's core/export/whole.py.
async function look(bitmap, isJpeg) {
  const { resize, crop, interpolation } = card.preprocessing;
  const [width, height] = [bitmap.width, bitmap.height];
  if (Math.min(width, height) < card.least_side) throw new Error(words.too_small);
  if (Math.max(width, height) > card.most_aspect * Math.min(width, height)) throw new Error(words.too_narrow);
  const picture = pixels(bitmap, isJpeg ? decodingScale(width, height, resize) : 1);
  const square = middleSquare(picture, resize, interpolation, card.pillow);
  const input = networkInput(square, card.preprocessing);
  const { session, Tensor } = network;
  const told = await session.run({ [session.inputNames[0]]: new Tensor("float32", input, [1, 3, crop, crop]) });
  const [probabilities, , strangeness] = session.outputNames.map((name) => told[name].data);
  const unknown = card.unknown_limit !== null && strangeness !== undefined && strangeness[0] > card.unknown_limit;
  return { probabilities: Array.from(probabilities), unknown };
}

function percent(share) {
  return `${(share * 100).toFixed(share > 0.995 || share < 0.005 ? 1 : 0)}\u00a0%`;
}

function made(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function draw(place, answer) {
  const order = answer.probabilities.map((_, i) => i).sort((a, b) => answer.probabilities[b] - answer.probabilities[a]);
  const best = order[0];
  const values = { label: card.classes[best], share: percent(answer.probabilities[best]) };
  const bars = made("ul", "bars");
  for (const i of order.slice(0, TOP)) {
    const row = made("li");
    row.dataset.probability = answer.probabilities[i];
    const bar = made("span", "bar");
    const filled = bar.appendChild(made("span"));
    filled.style.width = `${answer.probabilities[i] * 100}%`;
    row.append(made("span", "name", card.classes[i]), made("span", "share", percent(answer.probabilities[i])), bar);
    bars.append(row);
  }
  place.classList.toggle("unknown", answer.unknown);
  place.replaceChildren(made("p", "verdict", answer.unknown ? words.unknown : say(words.verdict, values)));
  if (answer.unknown) place.append(made("p", "", say(words.unknown_why, values)));
  place.append(bars);
}

async function bitmapOf(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(words.unreadable);
  }
}

async function startsLikeJpeg(file) {
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  return first === 0xff && second === 0xd8;
}

function thumbnail(bitmap, name) {
  const canvas = made("canvas");
  const scale = Math.min(1, 320 / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}

async function answerPhoto(file, item) {
  if (!item.isConnected) return;
  const [picture, place] = item.children;
  try {
    const bitmap = await bitmapOf(file);
    picture.append(thumbnail(bitmap, file.name));
    draw(place, await look(bitmap, await startsLikeJpeg(file)));
    bitmap.close();
  } catch (error) {
    place.replaceChildren(made("p", "verdict", words.no_answer), made("p", "", error.message));
  }
  place.append(made("p", "quiet", file.name));
  item.dataset.done = "yes";
}

function add(files) {
  const items = Array.from(files, (file) => {
    const item = made("li");
    item.append(made("div"), made("div", "answer", words.looking));
    queue = queue.then(() => answerPhoto(file, item));
    return item;
  });
  const list = element("answers");
  list.prepend(...items);
  tell(list.children.length > KEPT_ANSWERS ? say(words.kept, { n: KEPT_ANSWERS }) : "");
  while (list.children.length > KEPT_ANSWERS) list.lastElementChild.remove();
}

function takeFrom(input) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
}

function takeDropped() {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  addEventListener("dragleave", () => document.body.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    add(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => add(event.clipboardData.files));
}

async function watch() {
  const video = document.querySelector("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    await video.play();
  } catch {
    tell(words.no_camera, true);
    return;
  }
  tell("");
  element("live").hidden = false;
  element("camera").hidden = true;
  while (video.srcObject) {
    const frame = await createImageBitmap(video).catch(() => null); // none between two cameras, or just let go
    if (frame) {
      draw(document.querySelector("#live .answer"), await look(frame, false));
      frame.close();
    }
    await new Promise((resolve) => setTimeout(resolve, LIVE_PAUSE));
  }
}

function stopWatching() {
  const video = document.querySelector("video");
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  element("live").hidden = true;
  element("camera").hidden = false;
}

async function start() {
  element("classes").textContent = say(words.classes, { classes: card.classes.join(", ") });
  try {
    await load();
  } catch (error) {
    tell(say(words.too_old, { problem: String(error.message ?? error) }), true);
    return;
  }
  tell("");
  element("ways").hidden = false;
  element("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  element("camera").addEventListener("click", watch);
  element("stop").addEventListener("click", stopWatching);
  takeFrom(element("choose"));
  takeFrom(element("take"));
  takeDropped();
  document.body.dataset.ready = "yes";
}

start();

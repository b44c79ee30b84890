// A camera of this device: opening it, the others there are, and what went wrong. webcam.js and live_camera.js use it.

/** The stream of a camera, about `side` pixels wide; of the one called `device`, or else one that looks `facing`. */
async function openCamera(side, { device, facing } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) throw Object.assign(new Error(), { name: "insecure" })
  const video = { width: { ideal: side }, height: { ideal: (side * 3) / 4 } }
  if (device) video.deviceId = { exact: device }
  else if (facing) video.facingMode = { ideal: facing }
  return navigator.mediaDevices.getUserMedia({ video, audio: false })
}

/** The camera's light goes out. */
function closeCamera(stream) {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null
    track.stop()
  }
}

async function allCameras() {
  return (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput")
}

/** Only a preview is mirrored, as people know themselves; a camera that looks away from them shows what is there. */
function isMirrored(stream) {
  return stream.getVideoTracks()[0].getSettings().facingMode !== "environment"
}

/** The options of a <select> of cameras; `words` names those that don't name themselves. */
function cameraOptions(devices, stream, words) {
  const current = stream.getVideoTracks()[0].getSettings().deviceId
  const named = (label, place) => label || fillIn(words, { n: place + 1 })
  return devices.map(({ deviceId, label }, place) => new Option(named(label, place), deviceId, false, deviceId === current))
}

function problemOf({ name }) {
  const known = {
    insecure: "insecure", NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none",
    NotReadableError: "busy", AbortError: "busy",
  }
  return known[name] ?? "other"
}

/** What to tell a person of a problem. */
function problemWords(text, problem, why) {
  return fillIn(text.problem[problem], { why, port: location.port || "8501" })
}

function fillIn(entry, values) {
  const words = typeof entry === "string" ? entry : values.n === 1 ? entry.one : entry.other
  return words.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? values[name].toLocaleString() : values[name]))
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

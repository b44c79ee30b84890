"use strict";
// From a photo to the numbers a network reads, as Graft does it with Pillow: the same sums, rounded at the same places.

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
};
const PRECISION_BITS = 22; // of a weight. Source: Pillow, libImaging/Resample.c: 32 - 8 - 2
const STRIP_ROWS = 512; // of a photo at a time: phones refuse to draw very large ones whole

function cubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// For each of `count` new pixels: where its sum begins, and the whole-number weights of the old ones.
// [from, to) is what is scaled; a filter also reaches beyond it, as far as there are pixels (`length`).
function taps(length, from, to, count, filter) {
  const scale = (to - from) / count;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  return Array.from({ length: count }, (_, place) => {
    const middle = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - support + 0.5));
    const last = Math.min(length, Math.trunc(middle + support + 0.5));
    const weights = [];
    for (let x = first; x < last; x++) weights.push(filter.weight((x - middle + 0.5) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => fixed(total ? weight / total : weight)) };
  });
}

function fixed(weight) {
  return Math.trunc(weight * 2 ** PRECISION_BITS + (weight < 0 ? -0.5 : 0.5));
}

// One direction of a resize. `step` is the distance of two neighbours in it, `line` that of two lines, both in bytes.
function pass(source, target, rows, lines, old, fresh) {
  const half = 2 ** (PRECISION_BITS - 1);
  for (let line = 0; line < lines; line++) {
    for (let place = 0; place < rows.length; place++) {
      const { first, weights } = rows[place];
      for (let colour = 0; colour < 3; colour++) {
        let at = line * old.line + first * old.step + colour;
        let sum = half;
        for (let i = 0; i < weights.length; i++, at += old.step) sum += source[at] * weights[i];
        target[line * fresh.line + place * fresh.step + colour] = sum >> PRECISION_BITS; // clamped by its type
      }
    }
  }
}

// The middle square of a picture {data: RGB, width, height} as side × side pixels, three bytes each.
function middleSquare(picture, side, interpolation, pillow) {
  const { data, width, height } = picture;
  const filter = FILTERS[interpolation];
  const shorter = Math.min(width, height);
  const left = Math.floor((width - shorter) / 2);
  const top = Math.floor((height - shorter) / 2);
  const across = taps(width, left, left + shorter, side, filter);
  const down = taps(height, top, top + shorter, side, filter);
  const square = new Uint8ClampedArray(side * side * 3);
  if (startsDownwards(width, height, side, pillow)) {
    const low = new Uint8ClampedArray(width * side * 3);
    pass(data, low, down, width, { line: 3, step: width * 3 }, { line: 3, step: width * 3 });
    pass(low, square, across, side, { line: width * 3, step: 3 }, { line: side * 3, step: 3 });
  } else {
    const narrow = new Uint8ClampedArray(side * height * 3);
    pass(data, narrow, across, height, { line: width * 3, step: 3 }, { line: side * 3, step: 3 });
    pass(narrow, square, down, side, { line: 3, step: side * 3 }, { line: 3, step: side * 3 });
  }
  return square;
}

// Whether Pillow scales the height before the width, which changes what is rounded. Source: Pillow 13, pull request 9549.
function startsDownwards(width, height, side, pillow) {
  return pillow >= 13 && height > side && height - side > 2 * (width - side);
}

// By how much Graft scales a JPEG down while decoding it: that is quick, and never below the size it needs.
function decodingScale(width, height, side) {
  return [8, 4, 2].find((scale) => side * scale <= Math.min(width, height)) ?? 1;
}

// The picture's pixels over white, each the mean of scale × scale, which is what a JPEG decoder's scaling comes to.
// Source: libjpeg-turbo, jidctred.c.
function pixels(bitmap, scale) {
  const [width, height] = [bitmap.width, bitmap.height];
  const small = { width: Math.ceil(width / scale), height: Math.ceil(height / scale) };
  small.data = new Uint8ClampedArray(small.width * small.height * 3);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(STRIP_ROWS, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const rows = Math.min(STRIP_ROWS, height - top);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    shrink(context.getImageData(0, 0, width, rows), scale, small, top / scale);
  }
  return small;
}

// The colour that a decoder makes of these means: it rounds brightness and both colour differences, then red, green, blue.
// Source: JFIF 1.02, "Conversion to and from RGB".
function asDecoded(red, green, blue) {
  const y = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  const cb = Math.round(-0.168736 * red - 0.331264 * green + 0.5 * blue);
  const cr = Math.round(0.5 * red - 0.418688 * green - 0.081312 * blue);
  return [y + Math.round(1.402 * cr), y + Math.round(-0.344136 * cb - 0.714136 * cr), y + Math.round(1.772 * cb)];
}

function shrink(strip, scale, small, firstRow) {
  const { data, width, height } = strip;
  for (let y = 0; y < height; y += scale) {
    const below = Math.min(y + scale, height);
    let to = (firstRow + y / scale) * small.width * 3;
    for (let x = 0; x < width; x += scale, to += 3) {
      const right = Math.min(x + scale, width);
      let [red, green, blue] = [0, 0, 0];
      for (let row = y; row < below; row++) {
        for (let at = (row * width + x) * 4; at < (row * width + right) * 4; at += 4) {
          red += data[at];
          green += data[at + 1];
          blue += data[at + 2];
        }
      }
      const count = (below - y) * (right - x);
      if (scale === 1) small.data.set([red, green, blue], to);
      else small.data.set(asDecoded(red / count, green / count, blue / count), to);
    }
  }
}

// (3, crop, crop) float32, (value / 255 - mean) / std, of the middle of a square.
function networkInput(square, preprocessing) {
  const { resize, crop, mean, std } = preprocessing;
  const offset = Math.floor((resize - crop) / 2);
  const values = new Float32Array(3 * crop * crop);
  for (let colour = 0; colour < 3; colour++) {
    const [middle, spread] = [Math.fround(mean[colour]), Math.fround(std[colour])];
    const lookup = Float32Array.from({ length: 256 }, (_, value) =>
      Math.fround(Math.fround(Math.fround(value / 255) - middle) / spread),
    );
    let to = colour * crop * crop;
    for (let y = offset; y < offset + crop; y++) {
      for (let x = offset; x < offset + crop; x++) values[to++] = lookup[square[(y * resize + x) * 3 + colour]];
    }
  }
  return values;
}

// Where points crowd, as a cloud behind them: counted in cells, and smoothed.

const SIDE = 96; // cells along each side
const BLUR = 2, TIMES = 3; // cells on either side that are averaged, and how often: three times is round
const BLUE = [53, 89, 199], MOST = 0.4;

/** An image of the extent of the points, one pixel a cell. */
export function densityOf({ places, n, bounds }) {
  const [left, bottom, right, top] = bounds;
  let counts = new Float32Array(SIDE * SIDE);
  const cellOf = (value, low, high) => Math.round(BLUR * TIMES + ((value - low) / (high - low || 1)) * (SIDE - 1 - 2 * BLUR * TIMES));
  for (let row = 0; row < n; row += 1) {
    counts[cellOf(places[2 * row], left, right) + SIDE * (SIDE - 1 - cellOf(places[2 * row + 1], bottom, top))] += 1;
  }
  for (let time = 0; time < TIMES; time += 1) counts = smoothed(smoothed(counts, 1, SIDE), SIDE, 1);
  const most = counts.reduce((one, other) => Math.max(one, other), 0) || 1;
  const image = new ImageData(SIDE, SIDE);
  counts.forEach((count, cell) => image.data.set([...BLUE, 255 * MOST * (count / most) ** 0.75], 4 * cell));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.getContext("2d").putImageData(image, 0, 0);
  const [wide, high] = [right - left, top - bottom].map((span) => span / (SIDE - 1 - 2 * BLUR * TIMES));
  const edge = BLUR * TIMES + 0.5; // cells around the points, and half of the outermost one's own
  return { canvas, left: left - edge * wide, top: top + edge * high, width: SIDE * wide, height: SIDE * high };
}

function smoothed(counts, step, stride) {
  const mean = new Float32Array(counts.length);
  for (let line = 0; line < SIDE; line += 1) {
    for (let at = 0; at < SIDE; at += 1) {
      let sum = 0;
      for (let off = -BLUR; off <= BLUR; off += 1) {
        if (at + off >= 0 && at + off < SIDE) sum += counts[line * stride + (at + off) * step];
      }
      mean[line * stride + at * step] = sum / (2 * BLUR + 1);
    }
  }
  return mean;
}

export function drawDensity(context, camera, density) {
  const [left, top] = camera.toScreen(density.left, density.top);
  context.drawImage(density.canvas, left, top, density.width * camera.scale, density.height * camera.scale);
}

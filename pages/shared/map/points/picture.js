// The map as a file, with what its colours mean: SVG for print, where every point is a shape, or PNG.

import { brief, viridis } from "./looks.js";
import { drawShapes, escaped, svgOf } from "./shapes.js";

const LINE_PX = 18, RAMP_PX = 160, STEPS = 40;
const px = (number) => number.toFixed(1);

/** What the colours mean, as shapes below the map, and how high they are together. */
function legendOf({ names, shades, values, title, low, high }, camera, theme) {
  const text = (left, top, words) => ({ kind: "text", at: [left, top], text: words, colour: theme.text, font: theme.font });
  if (values && low <= high) {
    const top = camera.height + 20;
    const ramp = Array.from({ length: STEPS }, (_, step) => ({
      kind: "bar", left: 8 + (step * RAMP_PX) / STEPS, top: top + 6, width: RAMP_PX / STEPS + 0.5, height: 10,
      colour: `rgb(${viridis(step / (STEPS - 1)).join(",")})`,
    }));
    return { shapes: [text(8, top - 2, title), ...ramp, text(8, top + 28, brief(low)), text(RAMP_PX - 20, top + 28, brief(high))], height: 58 };
  }
  const shapes = names.filter((name) => shades[name]).sort().flatMap((name, number) => {
    const top = camera.height + 14 + LINE_PX * number;
    return [{ kind: "dot", at: [12, top], radius: 4.5, colour: shades[name] }, text(22, top + 4, name)];
  });
  return { shapes, height: shapes.length ? 8 + (LINE_PX * shapes.length) / 2 : 0 };
}

/** What is in sight as SVG. */
export function svgPicture({ camera, places, looks, isDiamond, size, opacity, shapes, colouring, density, theme }) {
  const radius = size / 2, points = [];
  for (const row of looks.order) {
    const [left, top] = camera.toScreen(places[2 * row], places[2 * row + 1]);
    if (left < 0 || top < 0 || left > camera.width || top > camera.height) continue;
    const [red, green, blue, seen] = looks.rgba.subarray(4 * row, 4 * row + 4);
    const fill = `fill="rgb(${red},${green},${blue})" fill-opacity="${((opacity * seen) / 255).toFixed(2)}"`;
    points.push(
      isDiamond[row]
        ? `<path d="M${px(left)} ${px(top - radius)}l${px(radius)} ${px(radius)}l${px(-radius)} ${px(radius)}l${px(-radius)} ${px(-radius)}z" ${fill}/>`
        : `<circle cx="${px(left)}" cy="${px(top)}" r="${px(radius)}" ${fill}/>`,
    );
  }
  const legend = legendOf(colouring, camera, theme);
  const height = camera.height + legend.height;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${camera.width}" height="${height}" viewBox="0 0 ${camera.width} ${height}" font-family="${escaped(theme.font)}">
<rect width="100%" height="100%" fill="${theme.background}"/>
<svg width="${camera.width}" height="${camera.height}">
${density ? cloudOf(density, camera) : ""}
${points.join("\n")}
${svgOf(shapes)}
</svg>
${svgOf(legend.shapes)}
</svg>
`;
}

function cloudOf(density, camera) {
  const [left, top] = camera.toScreen(density.left, density.top);
  const [width, height] = [density.width, density.height].map((side) => px(side * camera.scale));
  return `<image href="${density.canvas.toDataURL()}" x="${px(left)}" y="${px(top)}" width="${width}" height="${height}" preserveAspectRatio="none"/>`;
}

/** Layers of a canvas, one upon the other, as PNG. */
export function pngPicture(canvases, { camera, colouring, theme, ratio }) {
  const legend = legendOf(colouring, camera, theme);
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [canvases[0].width, canvases[0].height + Math.round(legend.height * ratio)];
  const context = whole.getContext("2d");
  context.fillStyle = theme.background;
  context.fillRect(0, 0, whole.width, whole.height);
  for (const canvas of canvases) context.drawImage(canvas, 0, 0);
  context.scale(ratio, ratio);
  drawShapes(context, legend.shapes);
  return new Promise((done) => whole.toBlob(done, "image/png"));
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// What is drawn on top of the points, as shapes in pixels: lines to neighbours, the query's segments, rings, names.
// A list of them, so that the same is drawn on the page and written into a picture.

import { CHOSEN, FOUND } from "./looks.js";

const QUERY = "#d6336c", NEIGHBOUR = "#8a8f9c";
const MOST_OUTLINED = 500; // chosen points that have an outline each; of more the others' paleness says enough
const LABEL_PX = 12, LABEL_PAD = 3, LIFT_PX = 8; // a name stands above its place: a small group is not covered by it

/**
 * theme : {text, background, font}, as CSS
 * lit : the segment that is heard; -1 for none
 * pointed : the row that the pointer or the keyboard is at, and the one that is pointed at in the player; -1 for none
 */
export function shapesOf({ camera, places, marks, data, theme, lit, pointed, ringed, context }) {
  const at = (row) => camera.toScreen(places[2 * row], places[2 * row + 1]);
  const shapes = [];
  const ring = (row, radius, width, colour = theme.text) => row >= 0 && row < marks.length
    && shapes.push({ kind: "circle", at: at(row), radius, colour, width });
  for (const [row, isShown] of data.near) {
    shapes.push({ kind: "line", points: [at(data.star), at(row)], colour: NEIGHBOUR, width: 1.2, dash: isShown ? [] : [2, 3] });
  }
  if (data.path.length) {
    const points = data.path.map(({ x, y }) => camera.toScreen(x, y));
    shapes.push({ kind: "line", points, colour: QUERY, width: 1.5, dash: [] });
    points.forEach((point, number) => {
      const isLit = number === lit;
      shapes.push({ kind: "dot", at: point, radius: isLit ? 6.5 : 2, colour: QUERY, opacity: isLit ? 0.75 : 1 });
    });
  }
  const rowsWith = (mark) => { const rows = []; marks.forEach((each, row) => each & mark && rows.push(row)); return rows; };
  for (const row of rowsWith(FOUND)) ring(row, 8, 1.5);
  const chosen = rowsWith(CHOSEN);
  if (chosen.length > 1 && chosen.length <= MOST_OUTLINED) for (const row of chosen) ring(row, 5.5, 1.2);
  ring(data.row, 12, 3);
  if (data.star >= 0) shapes.push({ kind: "star", at: at(data.star), radius: 9.5, colour: QUERY, edge: theme.background });
  ring(pointed, 9, 2);
  ring(ringed, 11, 3.5);
  return [...shapes, ...labels(camera, data.labels, theme, context)];
}

/** The names that fit, the first of them first: none covers another. */
function labels(camera, wanted, theme, context) {
  context.font = `${LABEL_PX}px ${theme.font}`;
  const put = [];
  for (const { x, y, text } of wanted) {
    if (!camera.isInSight(x, y)) continue;
    const width = context.measureText(text).width + 2 * LABEL_PAD, height = LABEL_PX + 2 * LABEL_PAD;
    const [middle, top] = camera.toScreen(x, y);
    const left = Math.min(camera.width - width, Math.max(0, middle - width / 2));
    const box = { left, top: Math.min(camera.height - height, Math.max(0, top - height - LIFT_PX)), width, height };
    const covers = (other) => box.left < other.left + other.width && other.left < box.left + width
      && box.top < other.top + height && other.top < box.top + height;
    if (!put.some(covers)) put.push({ kind: "label", text, ...box, colour: theme.text, background: theme.background, font: theme.font });
  }
  return put;
}

function starPoints([left, top], radius) {
  return Array.from({ length: 10 }, (_, corner) => {
    const reach = corner % 2 ? radius * 0.42 : radius, angle = (Math.PI * corner) / 5;
    return [left + reach * Math.sin(angle), top - reach * Math.cos(angle)];
  });
}

export function drawShapes(context, shapes) {
  for (const shape of shapes) {
    context.globalAlpha = shape.opacity ?? 1;
    context.setLineDash(shape.dash ?? []);
    context.lineWidth = shape.width ?? 1;
    context.strokeStyle = context.fillStyle = shape.colour;
    context.beginPath();
    if (shape.kind === "line") {
      shape.points.forEach(([left, top], number) => (number ? context.lineTo(left, top) : context.moveTo(left, top)));
      context.stroke();
    } else if (shape.kind === "circle" || shape.kind === "dot") {
      context.arc(...shape.at, shape.radius, 0, 2 * Math.PI);
      if (shape.kind === "dot") context.fill();
      else context.stroke();
    } else if (shape.kind === "star") {
      starPoints(shape.at, shape.radius).forEach(([left, top], number) => (number ? context.lineTo(left, top) : context.moveTo(left, top)));
      context.closePath();
      context.fill();
      context.strokeStyle = shape.edge;
      context.stroke();
    } else if (shape.kind === "bar") {
      context.fillRect(shape.left, shape.top, shape.width, shape.height);
    } else if (shape.kind === "text") {
      context.font = `${LABEL_PX}px ${shape.font}`;
      context.textBaseline = "alphabetic";
      context.fillText(shape.text, ...shape.at);
    } else {
      context.font = `${LABEL_PX}px ${shape.font}`;
      context.textBaseline = "top";
      context.globalAlpha = 0.8;
      context.fillStyle = shape.background;
      context.fillRect(shape.left, shape.top, shape.width, shape.height);
      context.globalAlpha = 1;
      context.fillStyle = shape.colour;
      context.fillText(shape.text, shape.left + LABEL_PAD, shape.top + LABEL_PAD);
    }
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
}

const px = (number) => number.toFixed(1);
const pairs = (points) => points.map(([left, top]) => `${px(left)},${px(top)}`).join(" ");
export const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** The same as SVG. */
export function svgOf(shapes) {
  return shapes.map((shape) => {
    const seen = shape.opacity === undefined ? "" : ` opacity="${shape.opacity}"`;
    const stroke = `fill="none" stroke="${shape.colour}" stroke-width="${shape.width}"`;
    if (shape.kind === "line") return `<polyline points="${pairs(shape.points)}" ${stroke} stroke-dasharray="${shape.dash.join(" ")}"/>`;
    if (shape.kind === "star") return `<polygon points="${pairs(starPoints(shape.at, shape.radius))}" fill="${shape.colour}" stroke="${shape.edge}"/>`;
    if (shape.kind === "bar") return `<rect x="${px(shape.left)}" y="${px(shape.top)}" width="${px(shape.width)}" height="${px(shape.height)}" fill="${shape.colour}"/>`;
    if (shape.kind === "text") return `<text x="${px(shape.at[0])}" y="${px(shape.at[1])}" font-size="${LABEL_PX}" fill="${shape.colour}">${escaped(shape.text)}</text>`;
    if (shape.kind === "label") {
      const { left, top, width, height } = shape;
      return `<rect x="${px(left)}" y="${px(top)}" width="${px(width)}" height="${px(height)}" fill="${shape.background}" opacity="0.8"/>`
        + `<text x="${px(left + LABEL_PAD)}" y="${px(top + LABEL_PX)}" font-size="${LABEL_PX}" fill="${shape.colour}">${escaped(shape.text)}</text>`;
    }
    const [left, top] = shape.at;
    return `<circle cx="${px(left)}" cy="${px(top)}" r="${shape.radius}" ${shape.kind === "dot" ? `fill="${shape.colour}"${seen}` : stroke}/>`;
  }).join("\n");
}

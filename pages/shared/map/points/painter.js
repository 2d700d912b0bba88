// Paints the points: by WebGL, or, where a browser has none, on a plain canvas, which is slower.

const VERTEX = `#version 300 es
in vec2 place; in vec2 before; in vec4 colour; in float isDiamond;
uniform vec2 centre, stretch; uniform float moved, size, opacity;
out vec4 shade; out float diamond;
void main() {
  gl_Position = vec4((mix(before, place, moved) - centre) * stretch, 0.0, 1.0);
  gl_PointSize = size;
  shade = vec4(colour.rgb, colour.a * opacity);
  diamond = isDiamond;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 shade; in float diamond;
uniform float size; uniform vec3 edge;
out vec4 painted;
void main() {
  vec2 off = abs(gl_PointCoord - 0.5) * size;
  float outside = (diamond > 0.5 ? off.x + off.y : length(off)) - size / 2.0;
  if (outside > 0.0) discard;
  float rim = size > 10.0 ? 0.6 * smoothstep(-1.6, -0.8, outside) : 0.0;
  float seen = shade.a * smoothstep(0.0, -1.0, outside);
  painted = vec4(mix(shade.rgb, edge, rim) * seen, seen);
}`;

/** A painter for this canvas; null where there is no WebGL. */
export function glPainter(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
  return gl && new GlPainter(canvas, gl);
}

class GlPainter {
  isQuick = true;
  #buffers = {};

  constructor(canvas, gl) {
    this.canvas = canvas;
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "WebGL");
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.program = program;
    this.indices = gl.createBuffer();
  }

  #put(name, numbers, size, type, isNormalised = false) {
    const { gl } = this;
    this.#buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, numbers, gl.STATIC_DRAW);
    const location = gl.getAttribLocation(this.program, name);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, type, isNormalised, 0, 0);
  }

  /** before : where each was, for as long as they move */
  setPlaces(places, before, isDiamond) {
    this.#put("place", places, 2, this.gl.FLOAT);
    this.#put("before", before, 2, this.gl.FLOAT);
    this.#put("isDiamond", isDiamond, 1, this.gl.UNSIGNED_BYTE);
  }

  setLooks({ rgba, order }) {
    this.#put("colour", rgba, 4, this.gl.UNSIGNED_BYTE, true);
    this.gl.bindBuffer(this.gl.ELEMENT_ARRAY_BUFFER, this.indices);
    this.gl.bufferData(this.gl.ELEMENT_ARRAY_BUFFER, order, this.gl.STATIC_DRAW);
    this.n = order.length;
  }

  paint(camera, { size, opacity, edge, moved, ratio }) {
    const { gl, program, canvas } = this;
    const put = (name, ...numbers) => gl[`uniform${numbers.length}f`](gl.getUniformLocation(program, name), ...numbers);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    put("centre", camera.x, camera.y);
    put("stretch", (2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height);
    put("size", size * ratio);
    put("opacity", opacity);
    put("moved", moved);
    put("edge", ...edge.map((channel) => channel / 255));
    if (this.n) gl.drawElements(gl.POINTS, this.n, gl.UNSIGNED_INT, 0);
  }

  close() { this.gl.getExtension("WEBGL_lose_context")?.loseContext(); }
}

export class CanvasPainter {
  isQuick = false;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  setPlaces(places, before, isDiamond) { Object.assign(this, { places, isDiamond }); }
  setLooks({ rgba, order }) { Object.assign(this, { rgba, order }); }

  paint(camera, { size, opacity, ratio }) {
    const { context, rgba, places } = this;
    const side = size * ratio;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const row of this.order ?? []) {
      const [left, top] = camera.toScreen(places[2 * row], places[2 * row + 1]).map((pixels) => pixels * ratio);
      if (left < -side || top < -side || left > this.canvas.width + side || top > this.canvas.height + side) continue;
      const [red, green, blue, seen] = rgba.subarray(4 * row, 4 * row + 4);
      context.fillStyle = `rgba(${red},${green},${blue},${(opacity * seen) / 255})`;
      if (side < 6) context.fillRect(left - side / 2, top - side / 2, side, side);
      else {
        context.beginPath();
        outline(context, left, top, side / 2, this.isDiamond[row]);
        context.fill();
      }
    }
  }

  close() {}
}

function outline(context, left, top, radius, isDiamond) {
  if (!isDiamond) return context.arc(left, top, radius, 0, 2 * Math.PI);
  context.moveTo(left, top - radius);
  for (const [right, down] of [[1, 0], [0, 1], [-1, 0]]) context.lineTo(left + right * radius, top + down * radius);
  context.closePath();
}

// Appended to map.js where a test fetches it: read-only views of the map of the page.

const { update } = PointMap.prototype;

PointMap.prototype.update = function (...given) {
  const map = this;
  globalThis.__messMap = Object.freeze({
    get ids() { return map.titles?.ids ?? []; },
    get colours() { return [...map.looks.rgba]; }, // of all points, four numbers each
    get row() { return map.data.row; }, // that is chosen in the table
    get isQuick() { return map.painter.isQuick; },
    loseWebgl() { map.painter.gl.getExtension("WEBGL_lose_context").loseContext(); },
    /** Where the point of a row is in the window. */
    place(row) {
      const box = map.plane.getBoundingClientRect();
      const [left, top] = map.camera.toScreen(map.places[2 * row], map.places[2 * row + 1]);
      return [box.left + left, box.top + top];
    },
  });
  return update.apply(this, given);
};

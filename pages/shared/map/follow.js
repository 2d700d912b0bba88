// Lights the segment of a map's path that is heard now. The path is the only trace of the map with lines and points;
// Plotly draws it as SVG, and gives its traces no names that a page could choose.

const SEGMENTS = ".js-plotly-plot g.trace:has(path.js-line):has(path.point) path.point";
const LIT = "stroke-width: 9px; stroke-opacity: 0.55; stroke: #d6336c";

export default function follow({ data }) {
  const { track_id: trackId, starts_s: startsS } = data;
  let lit = null;

  const put = (point) => {
    if (point === lit) return;
    lit?.style.removeProperty("stroke-width");
    lit?.style.removeProperty("stroke-opacity");
    lit?.removeAttribute("data-heard");
    if (point) {
      point.style.cssText += LIT;
      point.setAttribute("data-heard", "");
    }
    lit = point;
  };

  const onHeard = ({ detail }) => {
    if (detail.trackId !== trackId || !detail.isPlaying) return put(null);
    const number = Math.max(0, startsS.findLastIndex((startS) => startS <= detail.second));
    put(document.querySelectorAll(SEGMENTS)[number] ?? null);
  };

  window.addEventListener("mess-heard", onHeard);
  return () => {
    window.removeEventListener("mess-heard", onHeard);
    put(null);
  };
}

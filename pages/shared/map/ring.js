// Rings the point of the map whose recording the pointer, or the focus, is on in the player beside it. Plotly draws up
// to some thousands of points as SVG, each bound to its row; of more, which it draws by WebGL, none is ringed.

const POINTS = ".st-key-map .js-plotly-plot .scatterlayer .trace:first-child .points path";
const RING = { "stroke": "light-dark(#101624, #e8ebf4)", "stroke-width": "4px", "stroke-opacity": "1" };

export default function ring({ data }) {
  let ringed = null;
  const before = {};

  const leave = () => {
    for (const name of Object.keys(RING)) ringed?.style.setProperty(name, before[name]);
    ringed?.removeAttribute("data-ringed");
    ringed = null;
  };

  const onPointed = (event) => {
    const track = event.composedPath().find((each) => each instanceof Element && each.matches(".track"));
    const root = track?.getRootNode();
    if (!root?.host?.closest(".st-key-map-player")) return leave();
    const trackId = data.track_ids[[...root.querySelectorAll(".track")].indexOf(track)];
    const rows = document.querySelector(".st-key-map .js-plotly-plot")?.data?.[0]?.customdata ?? [];
    const row = [...rows].indexOf(trackId);
    const point = [...document.querySelectorAll(POINTS)].find((each) => each.__data__?.i === row);
    if (point === ringed) return;
    leave();
    if (!point) return;
    ringed = point;
    for (const [name, value] of Object.entries(RING)) {
      before[name] = point.style.getPropertyValue(name);
      point.style.setProperty(name, value);
    }
    point.setAttribute("data-ringed", "");
  };

  // Not pointerover and focusin: from one row to the next these stay inside the player's shadow root.
  const events = ["pointermove", "keyup"];
  for (const name of events) window.addEventListener(name, onPointed);
  return () => {
    for (const name of events) window.removeEventListener(name, onPointed);
    leave();
  };
}

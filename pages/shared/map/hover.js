// A point of the map that the pointer rests on is heard: some seconds of it, after one second, and not beside a player.

const DELAY_MS = 1000; // who crosses the map on the way to a point asks for nothing
const LOOK_MS = 500; // how often a map is looked for: Streamlit draws it when it likes, and anew when it is another
const MAP = ".st-key-map .js-plotly-plot";

export default function hover({ data }) {
  let plot = null, waiting = 0, sound = null, isPlaying = false;

  const stop = () => {
    clearTimeout(waiting);
    sound?.pause();
    sound = null;
  };

  const onHover = ({ points }) => {
    stop();
    const trackId = points[0]?.customdata;
    if (typeof trackId !== "string" || isPlaying) return;
    waiting = setTimeout(() => {
      sound = new Audio(`${window.location.origin}/preview/${encodeURIComponent(trackId)}`);
      sound.play().catch(() => {}); // before the first click on a page a browser lets nothing sound
      window.dispatchEvent(new CustomEvent("mess-heard-in-passing", { detail: { trackId } }));
    }, DELAY_MS);
  };

  const look = () => {
    const there = document.querySelector(MAP);
    if (there === plot || !there?.on) return;
    leave();
    plot = there;
    plot.on("plotly_hover", onHover);
    plot.on("plotly_unhover", stop);
  };

  const leave = () => {
    plot?.removeListener?.("plotly_hover", onHover);
    plot?.removeListener?.("plotly_unhover", stop);
    plot = null;
  };

  const onHeard = ({ detail }) => {
    isPlaying = detail.isPlaying;
    if (isPlaying) stop();
  };

  if (!data.is_on) return () => {};
  const looking = setInterval(look, LOOK_MS);
  window.addEventListener("mess-heard", onHeard);
  window.addEventListener("pointerdown", stop);
  return () => {
    clearInterval(looking);
    window.removeEventListener("mess-heard", onHeard);
    window.removeEventListener("pointerdown", stop);
    leave();
    stop();
  };
}

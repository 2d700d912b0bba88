import { drawSmall } from "./waveform.js";

const ICONS = {
  play: "M8 5.3v13.4a.8.8 0 0 0 1.2.7l10.6-6.7a.8.8 0 0 0 0-1.4L9.2 4.6A.8.8 0 0 0 8 5.3z",
  pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  like: "M7 10.5V20H4v-9.5zM9 20h7.6a2 2 0 0 0 2-1.6l1.3-6a2 2 0 0 0-2-2.4H14l.7-3.6a1.8 1.8 0 0 0-3.3-1.2L9 10.5z",
  follow: "M10.5 4a6.5 6.5 0 1 0 4 11.6l4.5 4.4 1.4-1.4-4.4-4.5A6.5 6.5 0 0 0 10.5 4zm0 2a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9z",
  like_too: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  unlike: "M5 11h14v2H5z",
  ignore: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2a7 7 0 0 1 4.3 1.5l-9.8 9.8A7 7 0 0 1 12 5zm0 14a7 7 0 0 1-4.3-1.5l9.8-9.8A7 7 0 0 1 12 19z",
  to: "M6 15.5A2.5 2.5 0 1 0 8.3 19H14a4 4 0 0 0 0-8h-4a2 2 0 0 1 0-4h5.7a2.5 2.5 0 1 0 0-2H10a4 4 0 0 0 0 8h4a2 2 0 0 1 0 4H8.3A2.5 2.5 0 0 0 6 15.5z",
};
ICONS.dislike = ICONS.like;

/**
 * A list of neighbours in place of a row of tracks: each row plays, shows its waveform with the moment that matches, says
 * why it is here and how near, and takes an opinion. The query's row comes first and has only what is its own.
 */
export class Rows {
  #shown = "";
  #rows = [];

  constructor(place, wishes) {
    this.place = place;
    this.wishes = wishes;
  }

  get buttons() { return this.#rows.map((row) => row.button); }

  /** Makes the rows anew where they are others; the focus stays on the row of the same recording. */
  make(tracks) {
    const shown = JSON.stringify(tracks.map(({ id, label, performer, row }) => [id, label, performer, { ...row, verdict: 0 }]));
    if (shown === this.#shown) return;
    const focused = this.#rows.find((row) => row.element.contains(this.place.getRootNode().activeElement))?.id;
    this.#shown = shown;
    this.#rows = tracks.map((track, index) => this.#row(track, index));
    this.place.replaceChildren(...this.#rows.map((row) => row.element));
    this.#rows.find((row) => row.id === focused)?.button.focus({ preventScroll: true });
  }

  #row({ id, label, performer, row }, index) {
    const element = make("div", "row");
    const button = make("button", "track");
    button.type = "button";
    button.setAttribute("role", "radio");
    button.title = [label, performer].filter(Boolean).join("\n");
    const icon = make("span", "icon");
    icon.append(svg("play"), svg("pause"));
    const name = make("span", "label", label);
    if (performer) name.append(" ", make("span", "performer", performer)); // the space parts them where they are read aloud
    const canvas = make("canvas", "small");
    canvas.setAttribute("aria-hidden", "true");
    const why = make("span", "why");
    for (const { name: aspect, score, colour, words } of row.scores) {
      const part = make("span", "aspect", `${aspect} ${score}`);
      part.style.setProperty("--of-aspect", colour);
      part.title = words;
      why.append(part, " ");
    }
    why.append(make("span", "verdict", row.verdict_words.replaceAll(" %", "\u00a0%"))); // a number stays with its unit
    const score = make("span", "score", row.score === null ? "" : String(row.score));
    if (row.score !== null) score.append(make("small", "", row.unit));
    score.title = row.score_words;
    const note = make("span", "note");
    button.append(icon, make("span", "number", row.number), name, canvas, why, score, note);
    button.onclick = (event) => this.wishes.audition(index, event.shiftKey);
    element.append(button);
    if (row.is_under) element.classList.add("under");
    if (row.more) {
      const more = make("button", "more", row.more);
      more.type = "button";
      more.onclick = () => this.wishes.open(id);
      element.append(more);
    }
    const thumbs = {};
    const acts = make("span", "acts");
    for (const [how, words] of Object.entries(row.acts)) {
      const button = act(how, `${words}: ${label}`);
      if (how === "like" || how === "dislike") {
        thumbs[how] = button;
        button.onclick = () => this.wishes.judge(id, button.getAttribute("aria-pressed") === "true" ? "none" : how);
      } else if (how === "follow") {
        button.onclick = () => this.wishes.follow(id);
      } else {
        button.onclick = () => this.wishes.take(id, how);
      }
      acts.append(button);
    }
    if (acts.childElementCount) element.append(acts);
    return { id, element, button, canvas, note, thumbs, drawn: "" };
  }

  /** `tracks`: all of them as they are now; `colours` those of the theme. */
  show(tracks, { audible, isPlaying, colours }) {
    this.make(tracks);
    this.#rows.forEach((row, index) => {
      const track = tracks[index];
      const isHeard = index === audible;
      setAttribute(row.button, "aria-checked", isHeard);
      row.button.tabIndex = isHeard ? 0 : -1; // one stop for all rows: arrows lead to the others
      for (const button of row.element.querySelectorAll(".act")) button.tabIndex = isHeard ? 0 : -1;
      row.element.classList.toggle("heard", isHeard);
      row.element.classList.toggle("sounds", isHeard && isPlaying);
      row.button.classList.toggle("silent", track.isSilent);
      row.button.classList.toggle("failed", track.isFailed);
      if (row.note.textContent !== track.note) row.note.textContent = track.note;
      for (const [verdict, button] of Object.entries(row.thumbs)) setAttribute(button, "aria-pressed", track.verdict === verdict);
    });
    // All are measured, then all are drawn: in turn, the browser would lay out the page again for each.
    const sizes = this.#rows.map(({ canvas }) => [canvas.clientWidth, canvas.clientHeight]);
    this.#rows.forEach((row, index) => this.#draw(row, tracks[index], colours, sizes[index]));
  }

  /** A picture is drawn again only when it is another: the list is shown sixty times a second. */
  #draw(row, { peaks, moment, played }, colours, [width, height]) {
    const drawn = JSON.stringify([width, height, peaks?.length ?? 0, moment, Math.round(played * width), colours]);
    if (drawn === row.drawn || !width) return;
    row.drawn = drawn;
    drawSmall(row.canvas, { peaks, moment, played, colours }, [width, height]);
  }
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text; // names come from files: never as HTML
  return element;
}

function act(name, label) {
  const button = make("button", `act ${name}`);
  button.type = "button";
  button.title = label.split(":")[0];
  button.setAttribute("aria-label", label);
  button.append(svg(name));
  return button;
}

function svg(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", `icon-${name}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

// The drop zone: sends one file as the raw body of a PUT, shows how far it is, and says what went wrong.
//
// XMLHttpRequest and not fetch, which cannot report the progress of an upload.
// File names and the server's sentences are set as textContent only.

const UNITS = ["bytes", "kB", "MB", "GB"];

function formatBytes(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${value.toFixed(power && value < 100 ? 1 : 0).replace(/\.0$/, "")} ${UNITS[power]}`;
}

function formatDuration(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Why this file is not worth sending; empty if it is. */
function refusal(file, maxBytes) {
  if (file.size === 0) return { error: `“${file.name}” is empty (0 bytes).`, hint: "Choose a recording that can be played." };
  if (file.size <= maxBytes) return null;
  return {
    error: `“${file.name}” has ${formatBytes(file.size)}; at most ${formatBytes(maxBytes)} can be uploaded.`,
    hint: "Choose a shorter recording, or put it into a folder and add that as a library.",
  };
}

/** Sends the file; resolves with the server's answer, rejects with {error, hint, canRetry} or {isCancelled}. */
function send(file, url, { onProgress, onSent, onStart }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.responseType = "text";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    // toWellFormed: a name with half a surrogate pair, as some disks hold, cannot be encoded
    request.setRequestHeader("X-MESS-File-Name", encodeURIComponent(file.name.toWellFormed?.() ?? file.name));
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.upload.onload = onSent;
    request.onload = () => {
      const answer = parse(request.responseText);
      if (request.status === 200 && typeof answer.sha256 === "string") resolve(answer);
      else reject(explain(request.status, answer));
    };
    request.onerror = () => reject({
      error: "The connection broke before the file had arrived.",
      hint: "Nothing was kept of it. Is the server still running?",
      canRetry: true,
    });
    request.onabort = () => reject({ isCancelled: true });
    onStart(request);
    request.send(file);
  });
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function explain(status, { error, hint }) {
  return {
    error: typeof error === "string" ? error : `The server refused the file (status ${status}).`,
    hint: typeof hint === "string" ? hint : "",
    canRetry: status >= 500,
  };
}

class Uploader {
  #request = null;
  #file = null;

  constructor(root) {
    const find = (name) => root.querySelector(`.${name}`);
    for (const name of ["upload", "file", "zone", "choose", "limit", "sending", "name", "cancel", "track", "bar",
      "amount", "notice", "failure", "error", "hint", "retry"]) this[name] = find(name);
    this.choose.onclick = () => this.file.click();
    this.file.onchange = () => {
      this.#take([...this.file.files]);
      this.file.value = ""; // choosing the same file again must be noticed
    };
    this.cancel.onclick = () => this.#request?.abort();
    this.retry.onclick = () => this.#start(this.#file);
    this.#listenToDrops();
  }

  update({ max_bytes: maxBytes, url }, sendToPython) {
    this.maxBytes = maxBytes;
    this.url = url;
    this.sendToPython = sendToPython;
    this.limit.textContent = `up to ${formatBytes(maxBytes)}`;
  }

  // --- taking a file ---------------------------------------------------------------------------------------

  #listenToDrops() {
    let depth = 0; // dragenter and dragleave also come for the elements inside
    const highlight = (change) => {
      depth = change === null ? 0 : Math.max(0, depth + change);
      this.upload.classList.toggle("dragging", depth > 0 && !this.#request);
    };
    this.upload.addEventListener("dragenter", () => highlight(1));
    this.upload.addEventListener("dragleave", () => highlight(-1));
    this.upload.addEventListener("drop", (event) => {
      event.preventDefault();
      highlight(null);
      const isFolder = event.dataTransfer.items?.[0]?.webkitGetAsEntry?.()?.isDirectory;
      if (isFolder) this.#fail({ error: "That is a folder; one recording is needed.", hint: "A folder can be added as a library." });
      else this.#take([...event.dataTransfer.files]);
    });
    // A drop that misses the zone would make the browser leave the page and open the file.
    this.keepPage = (event) => event.preventDefault();
    for (const type of ["dragover", "drop"]) window.addEventListener(type, this.keepPage);
  }

  #take(files) {
    if (!files.length) return;
    if (this.#request) {
      this.#notify("One file at a time: wait for this one, or cancel it.");
      return;
    }
    this.#start(files[0], files.length > 1 ? `${files.length} files were given; only the first is taken: ${files[0].name}` : "");
  }

  // --- sending it ------------------------------------------------------------------------------------------

  async #start(file, notice = "") {
    this.#file = file;
    this.#fail(null);
    this.#notify(notice);
    const reason = refusal(file, this.maxBytes);
    if (reason) {
      this.#fail(reason);
      return;
    }
    this.#showSending(file);
    try {
      const answer = await send(file, this.url, {
        onStart: (request) => { this.#request = request; },
        onProgress: (bytes) => this.#showProgress(bytes, file.size),
        onSent: () => this.#showChecking(),
      });
      this.#notify([notice, `Uploaded: ${answer.title} (${formatDuration(answer.duration_s)})`].filter(Boolean).join(". "));
      this.sendToPython({ sha256: answer.sha256, title: String(answer.title), duration_s: Number(answer.duration_s) });
    } catch (failure) {
      if (failure.isCancelled) this.#notify("Cancelled. Nothing was kept.");
      else this.#fail(failure);
    } finally {
      this.#request = null;
      this.#showZone();
    }
  }

  // --- showing it ------------------------------------------------------------------------------------------

  #showSending(file) {
    this.zone.hidden = true;
    this.sending.hidden = false;
    this.sending.classList.remove("checking");
    this.name.textContent = file.name;
    this.#showProgress(0, file.size);
    this.cancel.focus({ preventScroll: true }); // the button that was in focus has just gone
  }

  #showProgress(bytes, total) {
    const percent = Math.floor((100 * Math.min(bytes, total)) / total);
    this.bar.style.width = `${percent}%`;
    this.track.setAttribute("aria-valuenow", String(percent));
    this.amount.textContent = `${formatBytes(Math.min(bytes, total))} of ${formatBytes(total)} · ${percent} %`;
  }

  #showChecking() {
    this.sending.classList.add("checking");
    this.amount.textContent = "It is here, and is being read …";
  }

  #showZone() {
    const hadFocus = this.sending.contains(this.sending.getRootNode().activeElement);
    this.sending.hidden = true;
    this.zone.hidden = false;
    if (hadFocus) (this.retry.hidden ? this.choose : this.retry).focus({ preventScroll: true });
  }

  #notify(text) { this.notice.textContent = text; }

  #fail(failure) {
    this.error.textContent = failure?.error ?? "";
    this.hint.textContent = failure?.hint ?? "";
    this.failure.classList.toggle("shown", Boolean(failure));
    this.retry.hidden = !failure?.canRetry;
  }

  close() {
    this.#request?.abort();
    for (const type of ["dragover", "drop"]) window.removeEventListener(type, this.keepPage);
  }
}

const uploaders = new WeakMap(); // by the element they live in: a rerun must not stop an upload

export default function ({ data, parentElement, setStateValue }) {
  if (!uploaders.has(parentElement)) uploaders.set(parentElement, { uploader: new Uploader(parentElement), calls: 0 });
  const entry = uploaders.get(parentElement);
  const call = (entry.calls += 1);
  entry.uploader.update(data, (upload) => setStateValue("upload", upload));
  return () => {
    if (entry.calls !== call) return; // Streamlit may clean up an overtaken call while the component lives on
    uploaders.delete(parentElement);
    entry.uploader.close();
  };
}

// Time as it is read: 0:07, 12:30.5, and from one to the other.

export function formatTime(seconds, digits = 0) {
  const scale = 10 ** digits;
  const rounded = Math.floor(seconds * scale + 1e-6) / scale;
  return `${Math.floor(rounded / 60)}:${(rounded % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
}

export function spanText([fromS, toS]) { return `${formatTime(fromS, 1)}–${formatTime(toS, 1)}`; }

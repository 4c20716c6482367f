// @ts-check

/** @typedef {{text: string, marked: boolean}} Piece */

/**
 * Cuts text at highlights (ranges of UTF-16 code units, as search answers them;
 * JavaScript's own measure).
 * @param {string} text @param {[number, number][]} ranges
 * @returns {Piece[]}
 */
export function pieces(text, ranges) {
  const out = [];
  let at = 0;
  for (const [start, end] of ranges) {
    if (start < at || end <= start || end > text.length) continue; // not ours to trust
    if (start > at) out.push({ text: text.slice(at, start), marked: false });
    out.push({ text: text.slice(start, end), marked: true });
    at = end;
  }
  if (at < text.length) out.push({ text: text.slice(at), marked: false });
  return out;
}

/**
 * The part of a long text around its first highlight, with the ranges moved.
 * @param {string} text @param {[number, number][]} ranges
 * @returns {{text: string, ranges: [number, number][]}}
 */
export function excerpt(text, ranges, length = 160, lead = 40) {
  if (text.length <= length) return { text, ranges };
  const first = ranges[0]?.[0] ?? 0;
  let start = first <= lead ? 0 : first - lead;
  let end = Math.min(text.length, start + length);
  if (isLow(text, start)) start--; // never half of a surrogate pair
  if (isLow(text, end)) end--;
  const before = start > 0 ? '…' : '';
  const after = end < text.length ? '…' : '';
  const shift = before.length - start;
  /** @type {[number, number][]} */
  const moved = ranges
    .filter(([from]) => from < end)
    .map(([from, to]) => [from + shift, Math.min(to, end) + shift]);
  return { text: before + text.slice(start, end) + after, ranges: moved };
}

/** @param {string} text @param {number} at */
function isLow(text, at) {
  const unit = text.charCodeAt(at);
  return at > 0 && unit >= 0xdc00 && unit <= 0xdfff;
}

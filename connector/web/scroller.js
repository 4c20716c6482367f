// @ts-check
import { h, framed } from './dom.js';

/**
 * @typedef {Object} Row
 * @property {string} key stays the same while the row's content changes
 * @property {any} version redrawn when it is another
 * @property {boolean} [anchor] false when the row may move relative to its neighbours
 */

const OVERSCAN = 600; // pixels drawn beyond each edge
const EDGE = 1200; // pixels from an end at which more is asked for
const BOTTOM = 48; // so close to the end counts as being there
const ESTIMATE = 52; // of a row that was never drawn
const PASSES = 6; // heights settle in two; a bound against surprises

/**
 * A list of any length of which only what is near the view is in the document.
 * Rows may have any height: it is estimated, then measured when drawn, and the
 * scroll position corrected so that what the reader looks at stays in its place.
 * @template {Row} R
 */
export class Scroller {
  /** @type {R[]} */ #rows = [];
  /** @type {Map<string, number>} */ #index = new Map();
  /** @type {Map<string, number>} */ #heights = new Map();
  /** tops[i] is where row i begins; the last one is the total */ #tops = new Float64Array(1);
  /** @type {Map<string, {node: HTMLElement, version: any}>} */ #drawn = new Map();
  #lead = 0; // empty space above a list that does not fill the view
  #width = 0;
  #stuck = true; // at the end, and to stay there
  #options;
  #observer;

  /**
   * @param {{label: string, render: (row: R) => HTMLElement, onedge: (edge: 'start' | 'end') => void,
   *   onscroll: () => void}} options
   */
  constructor(options) {
    this.#options = options;
    this.list = h('ol', { class: 'rows', role: 'list' });
    this.canvas = h('div', { class: 'canvas' }, this.list);
    this.root = h('div', { class: 'scroller', tabIndex: 0, role: 'region', 'aria-label': options.label }, this.canvas);
    const draw = framed(() => {
      this.#draw(undefined);
      options.onscroll();
    });
    this.root.addEventListener('scroll', () => {
      this.#stuck = this.atEnd;
      draw();
    }, { passive: true });
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(this.root);
  }

  close() {
    this.#observer.disconnect();
  }

  /** Whether the end is in view and stays there as rows are added; costs no layout. */
  get stuck() {
    return this.#stuck;
  }

  get atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.root;
    return scrollHeight - scrollTop - clientHeight <= BOTTOM;
  }

  /** Rows at least partly in view. @returns {R[]} */
  visible() {
    const { scrollTop, clientHeight } = this.root;
    const [from, to] = this.#range(scrollTop, scrollTop + clientHeight);
    return this.#rows.slice(from, to);
  }

  /** @param {R[]} rows */
  update(rows) {
    const anchor = this.#stuck ? undefined : this.#anchor();
    this.#rows = rows;
    this.#index = new Map(rows.map((row, i) => [row.key, i]));
    this.#measureTops();
    this.#draw(anchor);
  }

  /** Shows the end and stays there as rows are added. */
  toEnd() {
    this.#stuck = true;
    this.#draw(undefined);
  }

  /** Brings a row into view. @param {string} key @param {number} [part] of the view above it, 0 to 1 */
  toRow(key, part = 0.35) {
    if (!this.#index.has(key)) return false;
    this.#stuck = false;
    this.#draw({ key, offset: this.root.clientHeight * part });
    this.#stuck = this.atEnd;
    return true;
  }

  /** The element of a row that is drawn. @param {string} key */
  node(key) {
    return this.#drawn.get(key)?.node;
  }

  #resized() {
    const anchor = this.#stuck ? undefined : this.#anchor();
    if (this.root.clientWidth !== this.#width) {
      this.#width = this.root.clientWidth;
      this.#heights.clear();
      this.#measureTops();
    }
    this.#draw(anchor);
  }

  /** The first row in view and where it is, to be kept there. */
  #anchor() {
    const { scrollTop, clientHeight } = this.root;
    const [from, to] = this.#range(scrollTop, scrollTop + clientHeight);
    let at = from;
    while (at < to && this.#rows[at].anchor === false) at++;
    const row = this.#rows[at];
    return row && { key: row.key, offset: this.#tops[at] + this.#lead - scrollTop };
  }

  #measureTops() {
    const tops = new Float64Array(this.#rows.length + 1);
    this.#rows.forEach((row, i) => (tops[i + 1] = tops[i] + (this.#heights.get(row.key) ?? ESTIMATE)));
    this.#tops = tops;
  }

  /** Indexes of the rows between two places. @param {number} top @param {number} bottom */
  #range(top, bottom) {
    const from = Math.max(0, this.#find(top - this.#lead));
    const to = Math.min(this.#rows.length, this.#find(bottom - this.#lead) + 1);
    return [from, to];
  }

  /** The last row that begins at or above y. @param {number} y */
  #find(y) {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tops[middle + 1] > y) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Draws what is in view, with a row kept in its place. @param {{key: string, offset: number} | undefined} anchor */
  #draw(anchor) {
    const keep = anchor ?? (this.#stuck ? undefined : this.#anchor());
    for (let pass = 0; pass < PASSES; pass++) {
      this.#place(keep);
      if (!this.#render()) break;
    }
    this.#place(keep);
    const { scrollTop, scrollHeight, clientHeight } = this.root;
    if (scrollTop < EDGE) this.#options.onedge('start');
    if (scrollHeight - clientHeight - scrollTop < EDGE) this.#options.onedge('end');
  }

  /** @param {{key: string, offset: number} | undefined} keep */
  #place(keep) {
    const total = this.#tops[this.#rows.length];
    const view = this.root.clientHeight;
    this.#lead = Math.max(0, view - total);
    this.canvas.style.height = `${Math.max(total, view)}px`;
    const at = keep && this.#index.get(keep.key);
    let top = this.root.scrollTop;
    if (this.#stuck) top = total - view;
    else if (keep && at !== undefined) top = this.#tops[at] + this.#lead - keep.offset;
    // Setting an unchanged position would stop a momentum scroll.
    if (Math.abs(top - this.root.scrollTop) >= 1) this.root.scrollTop = top;
    const first = this.#rows.findIndex((row) => this.#drawn.has(row.key));
    if (first >= 0) this.list.style.transform = `translateY(${this.#tops[first] + this.#lead}px)`;
  }

  /** Draws the rows near the view and measures them; whether any height was another. */
  #render() {
    const { scrollTop, clientHeight } = this.root;
    const [from, to] = this.#range(scrollTop - OVERSCAN, scrollTop + clientHeight + OVERSCAN);
    const wanted = new Set();
    for (let i = from; i < to; i++) wanted.add(this.#rows[i].key);
    for (const [key, { node }] of this.#drawn) {
      if (wanted.has(key)) continue;
      if (node.contains(document.activeElement)) this.root.focus({ preventScroll: true });
      node.remove();
      this.#drawn.delete(key);
    }
    for (let i = from; i < to; i++) {
      const row = this.#rows[i];
      let drawn = this.#drawn.get(row.key);
      if (drawn?.version !== row.version || !drawn) {
        const node = this.#options.render(row);
        drawn?.node.replaceWith(node);
        drawn = { node, version: row.version };
        this.#drawn.set(row.key, drawn);
      }
      const at = this.list.children[i - from];
      if (at !== drawn.node) this.list.insertBefore(drawn.node, at ?? null);
    }
    if (to > from) this.list.style.transform = `translateY(${this.#tops[from] + this.#lead}px)`;
    let changed = false;
    for (let i = from; i < to; i++) {
      const { key } = this.#rows[i];
      const height = this.#drawn.get(key)?.node.getBoundingClientRect().height ?? ESTIMATE;
      if (Math.abs((this.#heights.get(key) ?? ESTIMATE) - height) < 0.25) continue;
      this.#heights.set(key, height);
      changed = true;
    }
    if (changed) this.#measureTops();
    return changed;
  }
}

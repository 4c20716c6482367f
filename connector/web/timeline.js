// @ts-check
import { folded, Recent } from './fold.js';
import { nextSequence } from './knatter.js';

/**
 * @typedef {import('./fold.js').Message & {state?: 'sending' | 'failed', problem?: unknown}} Entry
 *   a message as shown; `state` is absent once it is durable
 *
 * @typedef {(range: {before?: string, after?: string, limit: number}) =>
 *   Promise<{messages: import('./api.js').Message[], more: boolean, sequence: string}>} Load
 */

const PAGE = 60;
const MAX_ENTRIES = 5000; // loaded at once; the far end is dropped and fetched again when needed
const MAX_RECENT = 500;

/**
 * A room's messages: one window without gaps into the room's history, plus what
 * the user has sent and the log has not confirmed. The window either reaches the
 * live end (`moreAfter` is false) and grows with each event, or lies somewhere in
 * the past; live messages are then kept aside until it reaches the end again.
 */
export class Timeline {
  /** ascending by sequence @type {Entry[]} */ entries = [];
  /** in the order of sending @type {Entry[]} */ pending = [];
  moreBefore = true;
  moreAfter = true;
  loaded = false;
  failed = false;
  #load;
  #changed;
  #me;
  /** what happened to messages of late */ #events = new Recent();
  /** the latest live messages @type {Entry[]} */ #recent = [];
  #forgotten = ''; // sequence of the newest message dropped from #recent
  #turn = 0; // rises when the window moves: answers for an older one are stale
  #busy = { before: false, after: false };

  /** @param {Load} load @param {() => void} changed @param {string} me the user's id */
  constructor(load, changed, me) {
    this.#load = async (/** @type {Parameters<Load>[0]} */ range) => {
      const page = await load(range);
      return { ...page, messages: page.messages.map((message) => this.#events.over(message, page.sequence, me)) };
    };
    this.#changed = changed;
    this.#me = me;
  }

  /** Whether something is being fetched. */
  get loading() {
    return this.#busy.before || this.#busy.after;
  }

  /** Moves to the newest messages. */
  async latest() {
    if (this.loaded && !this.moreAfter) return;
    await this.#move(async () => {
      const page = await this.#load({ limit: PAGE });
      return { messages: page.messages, moreBefore: page.more, moreAfter: false };
    });
  }

  /** Moves to a place in the room, unless it is in the window already. @param {string} sequence */
  async around(sequence) {
    if (this.entries.some((entry) => entry.sequence === sequence)) return;
    await this.#move(async () => {
      const [older, newer] = await Promise.all([
        this.#load({ before: nextSequence(sequence), limit: PAGE }),
        this.#load({ after: sequence, limit: PAGE }),
      ]);
      return {
        messages: [...older.messages, ...newer.messages],
        moreBefore: older.more,
        moreAfter: newer.more,
      };
    });
  }

  /** @param {() => Promise<{messages: Entry[], moreBefore: boolean, moreAfter: boolean}>} fetchWindow */
  async #move(fetchWindow) {
    const turn = ++this.#turn;
    this.#busy = { before: true, after: true };
    this.failed = false;
    this.#changed();
    try {
      const { messages, moreBefore, moreAfter } = await fetchWindow();
      if (turn !== this.#turn) return;
      this.entries = messages;
      this.moreBefore = moreBefore;
      this.moreAfter = moreAfter;
      this.loaded = true;
      if (!moreAfter) this.#attach();
    } catch (err) {
      if (turn === this.#turn) this.failed = true;
      throw err;
    } finally {
      if (turn === this.#turn) {
        this.#busy = { before: false, after: false };
        this.#changed();
      }
    }
  }

  /** Fetches the page before the window. */
  older() {
    return this.#extend('before', this.moreBefore, async () => {
      const page = await this.#load({ before: this.entries[0]?.sequence, limit: PAGE });
      return () => {
        this.entries = [...page.messages, ...this.entries];
        this.moreBefore = page.more;
        if (this.entries.length > MAX_ENTRIES) {
          this.entries.length = MAX_ENTRIES;
          this.moreAfter = true;
        }
      };
    });
  }

  /** Fetches the page after the window. */
  newer() {
    return this.#extend('after', this.moreAfter, async () => {
      const page = await this.#load({ after: this.entries.at(-1)?.sequence ?? '0'.repeat(16), limit: PAGE });
      return () => {
        this.entries = [...this.entries, ...page.messages];
        this.#trim();
        if (!page.more) this.#attach();
      };
    });
  }

  /** @param {'before' | 'after'} side @param {boolean} more @param {() => Promise<() => void>} fetchPage */
  async #extend(side, more, fetchPage) {
    if (!this.loaded || !more || this.#busy[side]) return;
    const turn = this.#turn;
    this.#busy[side] = true;
    try {
      const apply = await fetchPage();
      if (turn !== this.#turn) return;
      apply();
      this.#busy[side] = false;
      this.#changed(); // not after a failure: drawing asks for more, and would ask at once
    } finally {
      if (turn === this.#turn) this.#busy[side] = false;
    }
  }

  /** The window reaches the end of history: adds what came live meanwhile. */
  #attach() {
    const last = this.entries.at(-1)?.sequence ?? '';
    this.moreAfter = this.#forgotten > last; // else nothing lies between the two
    if (this.moreAfter) return;
    for (const entry of this.#recent) this.#insert(entry);
  }

  /** Takes a live message. @param {Entry} message */
  arrive(message) {
    this.#confirm(message);
    this.#recent.push(message);
    if (this.#recent.length > MAX_RECENT) this.#forgotten = this.#recent.shift()?.sequence ?? '';
    if (this.loaded && !this.moreAfter) this.#insert(message);
    this.#changed();
  }

  /** Takes an event about a message: an edit, a deletion, a reaction, a pin. @param {import('./knatter.js').ChatEvent} event */
  apply(event) {
    this.#events.add(event);
    /** @param {Entry} entry */
    const now = (entry) => folded(entry, event, this.#me);
    this.entries = this.entries.map(now);
    this.#recent = this.#recent.map(now);
    this.#changed();
  }

  /** Shows a message that is being sent. @param {Entry} message */
  post(message) {
    message.state = 'sending';
    if (!this.pending.includes(message)) this.pending.push(message);
    this.#changed();
  }

  /** The message is durable, at this place. @param {Entry} message @param {string} sequence */
  acknowledge(message, sequence) {
    if (!this.pending.includes(message)) return; // its event was faster
    const confirmed = { ...message, sequence };
    delete confirmed.state;
    this.arrive(confirmed);
  }

  /** @param {Entry} message @param {unknown} problem */
  fail(message, problem) {
    message.state = 'failed';
    message.problem = problem;
    this.#changed();
  }

  /** Drops a message that failed. @param {Entry} message */
  discard(message) {
    this.pending = this.pending.filter((entry) => entry !== message);
    this.#changed();
  }

  /** @param {Entry} message */
  #confirm({ user, id }) {
    this.pending = this.pending.filter((entry) => entry.id !== id || entry.user !== user);
  }

  /** Inserts in order, once. @param {Entry} message */
  #insert(message) {
    let at = this.entries.length;
    while (at > 0 && this.entries[at - 1].sequence > message.sequence) at--;
    const present = this.entries[at - 1]?.sequence === message.sequence;
    // Under a later sequence the same id is a resent record; history keeps the first.
    if (present || this.entries.slice(-MAX_RECENT).some((e) => e.id === message.id && e.user === message.user)) return;
    this.entries.splice(at, 0, message);
    this.#trim();
  }

  #trim() {
    const excess = this.entries.length - MAX_ENTRIES;
    if (excess <= 0) return;
    this.entries.splice(0, excess);
    this.moreBefore = true;
  }
}

// @ts-check
/**
 * The client module: one WebSocket session with Knatter that sends with
 * acknowledgement, resumes after any interruption without gaps or repeats, and
 * renews its token. It needs nothing but `WebSocket` and `fetch`, so other pages
 * and Node can use it alone:
 *
 *     const session = new Session({ origin: 'https://chat.example.com' });
 *     await session.login('a@example.com', 'password');
 *     const client = new Client({ origin: session.origin, token: (stale) => session.token(stale) });
 *     client.addEventListener('event', ({ detail }) => console.log(detail.type, detail.data));
 *     client.subscribe('7k2m-9x4p-ab3d');
 *     client.connect();
 *     await client.send('message.posted', '7k2m-9x4p-ab3d', { text: 'hello' });
 */

export { Session } from './session.js';
export { Problem } from './problem.js';
export { Fold } from './fold.js';
import { Problem } from './problem.js';

/** Begins every event type. */
export const PREFIX = 'dev.knatter.';

/** The subprotocol: CloudEvents' WebSocket binding. */
export const SUBPROTOCOL = 'cloudevents.json';

/**
 * @typedef {Object} ChatEvent a CloudEvent as Knatter delivers it
 * @property {string} specversion
 * @property {string} id
 * @property {string} source `/users/{user}`
 * @property {string} type with {@link PREFIX}
 * @property {string} [subject] the room
 * @property {string} [time]
 * @property {string} [sequence] 16 digits; string order is room order
 * @property {any} [data]
 */

/**
 * @typedef {Object} Token
 * @property {string} accessToken
 * @property {number} expires in milliseconds since 1970
 */

/**
 * @typedef {Object} Options
 * @property {string} origin e.g. `https://chat.example.com`
 * @property {(stale?: string) => Promise<Token>} token gives an access token other than `stale`,
 *   which the server refused; rejects with a {@link Problem} of status 401 when the user must log in
 * @property {typeof WebSocket} [WebSocket]
 * @property {typeof fetch} [fetch]
 * @property {() => number} [random] for jitter
 */

/**
 * closed: not wanted, or refused for good. connecting: an attempt is under way.
 * open: events flow. waiting: the next attempt comes after a pause.
 * @typedef {'closed' | 'connecting' | 'open' | 'waiting'} State
 */

const MAX_OUTBOX = 500; // below the connector's default burst of 1,000 frames
const MAX_HELD = 5000; // live events kept while a room is paged
const MAX_SEEN = 1000; // (source, id) pairs remembered for each room
const PAGE = 200; // events in a page, the most that history gives
const ROOMS_PER_FRAME = 400; // keeps room.subscribe below 64 KiB
const OPEN_TIMEOUT = 10_000;
const ACK_TIMEOUT = 10_000;
const CHECK_TIMEOUT = 5_000;
const STABLE = 5_000; // a connection that lasted so long starts the back-off afresh
const SUBSCRIBE_AGAIN = 2_000;
const RENEW_EARLY = 60_000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;

/** Close codes of the protocol. */
export const CloseCode = Object.freeze({
  draining: 1001, // reconnect at once
  notText: 1003,
  notUTF8: 1007,
  tooLarge: 1009,
  malformed: 4400,
  unauthenticated: 4401, // log in again
  forbidden: 4403, // do not retry
  slow: 4408,
  tooMany: 4429,
});

/** Codes which say that something we sent was wrong: resending it would loop. @type {Set<number>} */
const OUR_FAULT = new Set([CloseCode.notText, CloseCode.notUTF8, CloseCode.tooLarge, CloseCode.malformed]);

/** Where a subscription stands. */
class Subscription {
  /** @param {string} room @param {string} [after] */
  constructor(room, after) {
    this.room = room;
    /** the highest sequence handed on; undefined: live only, nothing seen yet */
    this.after = after;
    /** what must be paged over HTTP before live events go on @type {string | undefined} */
    this.target = undefined;
    /** live events that wait for the paging @type {ChatEvent[]} */
    this.held = [];
    /** @type {Set<string>} */
    this.seen = new Set();
    /** @type {((sequence: string) => void)[]} */
    this.waiting = [];
  }

  /** Whether the event is new; remembers it if so. @param {ChatEvent} event */
  admit(event) {
    const sequence = event.sequence ?? '';
    if (this.after !== undefined && sequence <= this.after) return false;
    this.after = sequence;
    const key = `${event.source}\n${event.id}`;
    if (this.seen.has(key)) return false; // resent by its sender, logged twice
    this.seen.add(key);
    if (this.seen.size > MAX_SEEN) this.seen.delete(this.seen.values().next().value ?? '');
    return true;
  }
}

/**
 * Dispatches CustomEvents:
 * - `event`: detail is a {@link ChatEvent} of a subscribed room; each once, in room order; signals and `room.preferred`, which have no sequence, as they come
 * - `state`: detail is `{state, retryAt?}`
 * - `subscribed`: detail is `{room, sequence}`; also for a room joined later
 * - `reset`: detail is `{room}`: the server has lost what was seen of it, so what is held of it is to be loaded anew
 * - `unsubscribed`: detail is `{room}`
 * - `refused`: detail is a {@link Problem} about something other than a sent event
 * - `closed`: detail is `{code}`; it will not reconnect
 */
export class Client extends EventTarget {
  /** @type {Required<Options>} */ #options;
  /** @type {WebSocket | undefined} */ #socket;
  /** @type {State} */ #state = 'closed';
  #turn = 0; // rises with each connection: what belongs to an older one is stale
  #attempts = 0;
  #openedAt = 0;
  #all = false;
  /** @type {string | undefined} the token of this connection */ #token;
  /** @type {string | undefined} a token that was refused */ #stale;
  /** @type {Map<string, Subscription>} */ #rooms = new Map();
  /** @type {Map<string, {frame: string, promise: Promise<string>, resolve: (s: string) => void, reject: (e: Error) => void, sent: number}>} */
  #outbox = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #renewTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #openTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #watchTimer;

  /** @param {Options} options */
  constructor(options) {
    super();
    this.#options = {
      WebSocket: globalThis.WebSocket,
      fetch: globalThis.fetch?.bind(globalThis),
      random: Math.random,
      ...options,
    };
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** Connects, or tries at once instead of waiting. */
  connect() {
    if (this.#state === 'closed' || this.#state === 'waiting') void this.#open();
  }

  /** Ends the session for good; sends that were not acknowledged are rejected. */
  close() {
    this.#end(1000);
  }

  /**
   * Checks that the connection lives, after sleep or a change of network: the
   * server must answer soon, or we connect anew.
   */
  async check() {
    if (this.#state === 'waiting') return this.connect();
    if (this.#state === 'open') await this.#authenticate(CHECK_TIMEOUT);
  }

  /**
   * Subscribes to a room: everything after the sequence `after`, or what happens
   * from now on. Fulfilled with the border sequence when live.
   * @param {string} room @param {string} [after] @returns {Promise<string>}
   */
  subscribe(room, after) {
    let sub = this.#rooms.get(room);
    if (!sub) this.#rooms.set(room, (sub = new Subscription(room, after)));
    const live = new Promise((resolve) => sub.waiting.push(resolve));
    if (this.#state === 'open') this.#sendSubscriptions([sub], false);
    return live;
  }

  /**
   * Subscribes to all rooms of the user, also those joined later.
   * @param {{room: string, after?: string}[]} [rooms] where to resume
   */
  subscribeAll(rooms = []) {
    this.#all = true;
    for (const { room, after } of rooms) {
      if (!this.#rooms.has(room)) this.#rooms.set(room, new Subscription(room, after));
    }
    if (this.#state === 'open') this.#sendSubscriptions([...this.#rooms.values()], true);
  }

  /** @param {string} room */
  unsubscribe(room) {
    if (!this.#rooms.delete(room)) return;
    if (this.#state === 'open') this.#write(frame('room.unsubscribe', { rooms: [{ room }] }));
  }

  /**
   * Forgets a room that the user is no longer in, so that it is not asked for
   * again. @param {string} room
   */
  forget(room) {
    this.#rooms.delete(room);
  }

  /**
   * Sends a room event. Fulfilled with its sequence once it is durable, however
   * many connections that takes; rejected with a {@link Problem} when it is
   * refused. Sending the same id again is safe.
   * @param {string} type without {@link PREFIX}
   * @param {string} room @param {any} data @param {string} [id]
   * @returns {Promise<string>}
   */
  send(type, room, data, id = newID()) {
    const known = this.#outbox.get(id);
    if (known) return known.promise;
    if (this.#outbox.size >= MAX_OUTBOX) {
      return Promise.reject(new Problem(429, { title: 'Too many unsent events' }));
    }
    /** @type {(s: string) => void} */ let resolve = () => {};
    /** @type {(e: Error) => void} */ let reject = () => {};
    /** @type {Promise<string>} */
    const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
    const entry = { frame: frame(type, data, room, id), promise, resolve, reject, sent: 0 };
    this.#outbox.set(id, entry);
    if (this.#state === 'open') this.#post(entry);
    return promise;
  }

  /**
   * Sends a signal, such as `typing.started`: now or never.
   * @param {string} type @param {string} room
   */
  signal(type, room) {
    if (this.#state === 'open') this.#write(frame(type, undefined, room));
  }

  // ——— the connection ———

  async #open() {
    const turn = ++this.#turn;
    clearTimeout(this.#retryTimer);
    this.#setState('connecting');
    let token;
    try {
      token = await this.#options.token(this.#stale);
    } catch (err) {
      if (turn !== this.#turn) return;
      if (err instanceof Problem && err.status === 401) return this.#end(CloseCode.unauthenticated);
      return this.#retry(false);
    }
    if (turn !== this.#turn) return;
    this.#token = token.accessToken;
    const socket = new this.#options.WebSocket(
      this.#options.origin.replace(/^http/, 'ws') + '/v1/socket', [SUBPROTOCOL]);
    this.#socket = socket;
    this.#openTimer = setTimeout(() => this.#lose(turn), OPEN_TIMEOUT);
    socket.onopen = () => this.#write(frame('session.open', { token: token.accessToken }));
    socket.onmessage = ({ data }) => {
      if (turn === this.#turn && typeof data === 'string') this.#receive(JSON.parse(data), token);
    };
    socket.onerror = () => {}; // close follows; in Node an error without a listener is thrown
    socket.onclose = ({ code }) => {
      if (turn === this.#turn) this.#closed(code);
    };
  }

  /** Gives a silent connection up. @param {number} turn */
  #lose(turn) {
    if (turn === this.#turn) this.#closed(1006);
  }

  /** @param {number} code */
  #closed(code) {
    const lasted = this.#state === 'open' ? Date.now() - this.#openedAt : 0;
    const wasStale = this.#stale !== undefined;
    this.#drop();
    if (lasted > STABLE) this.#attempts = 0;
    if (OUR_FAULT.has(code)) this.#rejectAll(new Problem(400, { title: 'The connection was refused' }));
    if (code === CloseCode.forbidden) return this.#end(code);
    if (code === CloseCode.unauthenticated) {
      if (wasStale && !lasted) return this.#end(code); // even a fresh token was refused
      this.#stale = this.#token;
    }
    this.#retry(this.#attempts === 0 && (code === CloseCode.draining || code === CloseCode.unauthenticated));
  }

  /** @param {boolean} soon */
  #retry(soon) {
    this.#drop();
    const longest = soon ? FIRST_DELAY : Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts);
    // Jitter, so that a restarted server does not get everyone in the same moment.
    const delay = soon ? this.#options.random() * longest : longest * (0.5 + this.#options.random() / 2);
    this.#attempts++;
    this.#retryTimer = setTimeout(() => void this.#open(), delay);
    this.#setState('waiting', Date.now() + delay);
  }

  #drop() {
    this.#turn++;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#renewTimer);
    clearInterval(this.#watchTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  /** @param {number} code */
  #end(code) {
    if (this.#state === 'closed') return;
    this.#drop();
    clearTimeout(this.#retryTimer);
    this.#attempts = 0;
    this.#stale = undefined;
    this.#setState('closed');
    this.#rejectAll(new Problem(401, { title: 'The session has ended' }));
    this.dispatchEvent(new CustomEvent('closed', { detail: { code } }));
  }

  /** @param {Error} err */
  #rejectAll(err) {
    for (const entry of this.#outbox.values()) entry.reject(err);
    this.#outbox.clear();
  }

  /** @param {State} state @param {number} [retryAt] */
  #setState(state, retryAt) {
    this.#state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: { state, retryAt } }));
  }

  /** @param {string} text */
  #write(text) {
    this.#socket?.send(text);
  }

  /** Sends the token (again); the answer must come in time. @param {number} timeout */
  async #authenticate(timeout) {
    const turn = this.#turn;
    let token;
    try {
      token = await this.#options.token();
    } catch {
      return; // the server closes the socket when the old one expires
    }
    if (turn !== this.#turn) return;
    this.#token = token.accessToken;
    clearTimeout(this.#openTimer);
    this.#openTimer = setTimeout(() => this.#lose(turn), timeout);
    this.#scheduleRenewal(token);
    this.#write(frame('session.open', { token: token.accessToken }));
  }

  /** @param {Token} token */
  #scheduleRenewal(token) {
    clearTimeout(this.#renewTimer);
    const delay = Math.max(1000, token.expires - Date.now() - RENEW_EARLY);
    this.#renewTimer = setTimeout(() => void this.#authenticate(OPEN_TIMEOUT), delay);
  }

  // ——— frames ———

  /** @param {ChatEvent} event @param {Token} token */
  #receive(event, token) {
    switch (event.type.slice(PREFIX.length)) {
      case 'session.opened':
        return this.#sessionOpened(token);
      case 'ack':
        return this.#acknowledged(event.data);
      case 'error':
        return this.#refused(event.data);
      case 'room.subscribed':
        return this.#subscribed(event.data);
      case 'room.unsubscribed':
        return this.#unsubscribed(event.data.room);
    }
    if (event.subject) this.#arrive(event);
  }

  /** @param {Token} token */
  #sessionOpened(token) {
    clearTimeout(this.#openTimer);
    if (this.#state === 'open') return; // a renewal
    this.#stale = undefined;
    this.#openedAt = Date.now();
    this.#scheduleRenewal(token);
    for (const sub of this.#rooms.values()) {
      sub.target = undefined; // the replay starts over from `after`
      sub.held = [];
    }
    if (this.#all || this.#rooms.size) this.#sendSubscriptions([...this.#rooms.values()], this.#all);
    for (const entry of this.#outbox.values()) this.#post(entry);
    const turn = this.#turn;
    this.#watchTimer = setInterval(() => {
      const [oldest] = this.#outbox.values(); // acknowledged in order, or nearly
      if (oldest && Date.now() - oldest.sent > ACK_TIMEOUT) this.#lose(turn);
    }, 1000);
    this.#setState('open');
  }

  /** @param {Subscription[]} subs @param {boolean} all */
  #sendSubscriptions(subs, all) {
    const rooms = subs.map(({ room, after }) => (after === undefined ? { room } : { room, after }));
    do {
      const part = rooms.splice(0, ROOMS_PER_FRAME);
      // The rooms with a place to resume at come first, then the rest of "all".
      const data = { ...(part.length && { rooms: part }), ...(all && !rooms.length && { all: true }) };
      this.#write(frame('room.subscribe', data));
    } while (rooms.length);
  }

  /** @param {{frame: string, sent: number}} entry */
  #post(entry) {
    entry.sent = Date.now();
    this.#write(entry.frame);
  }

  /** @param {{event: string, sequence: string}} data */
  #acknowledged({ event, sequence }) {
    const entry = this.#outbox.get(event);
    this.#outbox.delete(event);
    entry?.resolve(sequence);
  }

  /** @param {any} data */
  #refused(data) {
    const problem = new Problem(data.status, data);
    const entry = this.#outbox.get(data.event);
    if (entry) {
      this.#outbox.delete(data.event);
      entry.reject(problem);
    } else if (data.room) {
      this.#notSubscribed(data.room, problem);
    } else {
      this.dispatchEvent(new CustomEvent('refused', { detail: problem }));
    }
  }

  /** @param {string} room @param {Problem} problem */
  #notSubscribed(room, problem) {
    if (problem.status < 500 && problem.status !== 429) {
      this.#unsubscribed(room); // not a member, or no such room
      return;
    }
    const turn = this.#turn;
    setTimeout(() => {
      let sub = this.#rooms.get(room);
      if (!sub && this.#all) this.#rooms.set(room, (sub = new Subscription(room)));
      if (sub && turn === this.#turn) this.#sendSubscriptions([sub], false);
    }, SUBSCRIBE_AGAIN * (0.5 + this.#options.random()));
  }

  /** @param {string} room */
  #unsubscribed(room) {
    this.#rooms.delete(room);
    this.dispatchEvent(new CustomEvent('unsubscribed', { detail: { room } }));
  }

  /** @param {{room: string, sequence: string, complete: boolean}} data */
  #subscribed({ room, sequence, complete }) {
    let sub = this.#rooms.get(room);
    if (!sub) {
      if (!this.#all) return; // unsubscribed meanwhile
      this.#rooms.set(room, (sub = new Subscription(room)));
    }
    if (complete || sub.after === undefined) return this.#live(sub, sequence);
    if (sub.after > sequence) {
      // The server has lost what was seen here: what it has is to be loaded anew.
      sub.after = undefined;
      this.dispatchEvent(new CustomEvent('reset', { detail: { room } }));
      return this.#live(sub, sequence);
    }
    sub.target = sequence;
    void this.#page(sub);
  }

  /** @param {Subscription} sub @param {string} sequence */
  #live(sub, sequence) {
    if (sub.after === undefined || sub.after < sequence) sub.after = sequence;
    for (const resolve of sub.waiting.splice(0)) resolve(sequence);
    this.dispatchEvent(new CustomEvent('subscribed', { detail: { room: sub.room, sequence } }));
  }

  /** @param {ChatEvent} event */
  #arrive(event) {
    const sub = this.#rooms.get(event.subject ?? '');
    if (!sub) return;
    if (!event.sequence) { // a signal: neither ordered nor resumed, and of use only now
      this.dispatchEvent(new CustomEvent('event', { detail: event }));
      return;
    }
    if (sub.target === undefined) return this.#deliver(sub, event);
    sub.held.push(event);
    if (sub.held.length > MAX_HELD) {
      // History has them all: page further instead of holding more.
      for (const { sequence } of sub.held) if (sequence && sequence > sub.target) sub.target = sequence;
      sub.held = [];
    }
  }

  /** @param {Subscription} sub @param {ChatEvent} event */
  #deliver(sub, event) {
    if (sub.admit(event)) this.dispatchEvent(new CustomEvent('event', { detail: event }));
  }

  /**
   * Fetches what the connector did not replay, then lets the held events go on.
   * @param {Subscription} sub
   */
  async #page(sub) {
    const turn = this.#turn;
    while (sub.target !== undefined && (sub.after ?? '') < sub.target) {
      let events;
      try {
        events = await this.#history(sub);
      } catch (err) {
        if (turn !== this.#turn) return;
        if (err instanceof Problem && (err.status === 403 || err.status === 404)) return this.#unsubscribed(sub.room);
        return this.#lose(turn); // the next connection resumes from `after`
      }
      if (turn !== this.#turn) return;
      if (!events.length) break; // the border itself is an event that nobody sees
      for (const event of events) this.#deliver(sub, event);
    }
    const border = sub.target ?? '';
    const held = sub.held;
    sub.target = undefined;
    sub.held = [];
    this.#live(sub, border);
    for (const event of held) this.#deliver(sub, event);
  }

  /** @param {Subscription} sub @returns {Promise<ChatEvent[]>} */
  async #history(sub) {
    const { accessToken } = await this.#options.token();
    const path = `/v1/rooms/${encodeURIComponent(sub.room)}/events?after=${sub.after}&limit=${PAGE}`;
    const response = await this.#options.fetch(this.#options.origin + path, {
      headers: { authorization: `Bearer ${accessToken}` },
    });
    if (!response.ok) throw await Problem.of(response);
    return response.json();
  }
}

/**
 * A frame: one structured-mode CloudEvent.
 * @param {string} type @param {any} data @param {string} [subject] @param {string} [id]
 */
function frame(type, data, subject, id = newID()) {
  return JSON.stringify({
    specversion: '1.0', id, source: '/clients/web', type: PREFIX + type, subject,
    datacontenttype: 'application/json', data,
  });
}

/** A new event id: UUID version 7, so that ids sort by time. */
export function newID(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let time = now;
  for (let i = 5; i >= 0; i--, time = Math.floor(time / 256)) bytes[i] = time % 256;
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** The sender's user id, '' when a program sent the event. @param {ChatEvent} event */
export function userOf(event) {
  return event.source.startsWith('/users/') ? event.source.slice('/users/'.length) : '';
}

/** The next possible sequence, for ranges that exclude their border. @param {string} sequence */
export function nextSequence(sequence) {
  return String(Number(sequence) + 1).padStart(16, '0');
}

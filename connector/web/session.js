// @ts-check
import { request } from './api.js';
import { Problem } from './problem.js';

/**
 * @typedef {Object} User
 * @property {string} id
 * @property {string} nickname
 * @property {string} [email]
 */

/**
 * @typedef {Object} Stored what is kept between page loads and shared by tabs
 * @property {string} accessToken
 * @property {string} refreshToken
 * @property {number} expires
 * @property {User} user
 */

const KEY = 'knatter.session';
const MARGIN = 75_000; // a token with less left is replaced; above the client's renewal margin

/**
 * A login: keeps the tokens and refreshes them.
 *
 * All tabs of a browser share one login, and each refresh token is good for one
 * use: a second use, but for a few seconds' grace, looks like theft and ends the
 * login. So tabs take turns under a lock, read the storage again when it is theirs, and use what another tab has
 * just fetched. The access token is stored beside the refresh token because a
 * page load would otherwise spend a refresh, and a reload in the middle of one
 * would lose its answer; it gives a thief nothing that the refresh token does not.
 *
 * Dispatches `change` when the login is over, or another one began in another tab.
 */
export class Session extends EventTarget {
  #storage;
  #locks;
  /** @type {string} */ origin;
  /** @type {typeof fetch} */ fetch;

  /**
   * @param {{origin: string, storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>,
   *   locks?: {request: (name: string, work: () => Promise<any>) => Promise<any>}, fetch?: typeof fetch}} options
   *   without storage and locks (Node) the tokens live in memory
   */
  constructor({ origin, storage = new Memory(), locks = new Turns(), fetch = globalThis.fetch.bind(globalThis) }) {
    super();
    this.origin = origin;
    this.fetch = fetch;
    this.#storage = storage;
    this.#locks = locks;
  }

  /** Who is logged in. @returns {User | undefined} */
  get user() {
    return this.#read()?.user;
  }

  /** @param {{email: string, password: string, nickname: string}} account */
  async signUp(account) {
    await request(this, 'POST', '/v1/accounts', { body: account });
    await this.login(account.email, account.password);
  }

  /** @param {string} email @param {string} password */
  async login(email, password) {
    this.#write(await request(this, 'POST', '/v1/sessions', { body: { email, password } }));
  }

  /**
   * An access token that is valid for a while and not `stale`.
   * Rejects with a Problem of status 401 when the user must log in.
   * @param {string} [stale] @returns {Promise<{accessToken: string, expires: number}>}
   */
  async token(stale) {
    const now = this.#usable(stale);
    if (now) return now;
    return this.#locks.request(KEY, async () => {
      const fetched = this.#usable(stale); // by another tab, while this one waited
      if (fetched) return fetched;
      const stored = this.#read();
      if (!stored) throw new Problem(401, { title: 'Not logged in' });
      try {
        const { refreshToken } = stored;
        return this.#write(await request(this, 'POST', '/v1/sessions/refresh', { body: { refreshToken } }));
      } catch (err) {
        if (err instanceof Problem && (err.status === 401 || err.status === 403)) {
          this.#end();
          throw new Problem(401, { title: 'The login has ended' });
        }
        throw err;
      }
    });
  }

  /** Ends the login on the server too, if it can be reached. */
  async logout() {
    try {
      const { accessToken } = await this.token();
      await request(this, 'DELETE', '/v1/sessions', { token: accessToken });
    } finally {
      this.#end();
    }
  }

  /** Takes over the user's new nickname. @param {string} nickname */
  renamed(nickname) {
    const stored = this.#read();
    if (stored) this.#storage.setItem(KEY, JSON.stringify({ ...stored, user: { ...stored.user, nickname } }));
  }

  /** Follows what other tabs do to the storage. @param {StorageEvent} event */
  changed({ key, oldValue, newValue }) {
    const cleared = key === null;
    if (!cleared && (key !== KEY || parse(oldValue)?.user.id === parse(newValue)?.user.id)) return;
    this.dispatchEvent(new Event('change'));
  }

  #end() {
    this.#storage.removeItem(KEY);
    this.dispatchEvent(new Event('change'));
  }

  /** @param {string} [stale] */
  #usable(stale) {
    const stored = this.#read();
    if (stored && stored.accessToken !== stale && stored.expires - Date.now() > MARGIN) return stored;
    return undefined;
  }

  /** @returns {Stored | undefined} */
  #read() {
    return parse(this.#storage.getItem(KEY));
  }

  /** @param {{accessToken: string, refreshToken: string, expiresIn: number, user: User}} answer */
  #write({ accessToken, refreshToken, expiresIn, user }) {
    const stored = { accessToken, refreshToken, user, expires: Date.now() + expiresIn * 1000 };
    this.#storage.setItem(KEY, JSON.stringify(stored));
    return stored;
  }
}

/** @param {string | null} text @returns {Stored | undefined} */
function parse(text) {
  try {
    return JSON.parse(text ?? 'null') ?? undefined;
  } catch {
    return undefined;
  }
}

/** A storage for one process. */
class Memory {
  /** @type {Map<string, string>} */ #items = new Map();
  /** @param {string} key */
  getItem(key) {
    return this.#items.get(key) ?? null;
  }
  /** @param {string} key @param {string} value */
  setItem(key, value) {
    this.#items.set(key, value);
  }
  /** @param {string} key */
  removeItem(key) {
    this.#items.delete(key);
  }
}

/** Locks for one page or process: navigator.locks exists only in secure contexts. */
class Turns {
  /** @type {Promise<any>} */ #last = Promise.resolve();
  /** @param {string} _name @param {() => Promise<any>} work */
  request(_name, work) {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

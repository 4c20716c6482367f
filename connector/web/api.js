// @ts-check
import { Problem } from './problem.js';

/**
 * @typedef {Object} Message as history and rooms give it
 * @property {string} sequence
 * @property {string} id
 * @property {string} user
 * @property {string} nickname
 * @property {string} text empty when it is deleted
 * @property {string} time
 * @property {string} [editedTime]
 * @property {boolean} [deleted]
 * @property {string} [replyTo]
 * @property {Quoted} [quoted] what it replies to
 * @property {string[]} [mentions] ids, or `*` for everybody
 * @property {any[]} [attachments]
 * @property {Reaction[]} [reactions]
 * @property {boolean} [pinned]
 * @property {number} [unreadBy]
 *
 * @typedef {Object} Quoted
 * @property {string} user
 * @property {string} nickname
 * @property {string} text its beginning
 * @property {boolean} [deleted]
 *
 * @typedef {Object} Reaction all of one emoji
 * @property {string} emoji
 * @property {number} count
 * @property {string[]} users the earliest, at most 10
 * @property {string[]} added the sequence of each one's reaction
 * @property {boolean} mine
 *
 * @typedef {Object} RoomSummary
 * @property {string} id the code that people share
 * @property {string} name
 * @property {'group' | 'direct'} kind
 * @property {string} topic
 * @property {'code' | 'invitation'} joining
 * @property {'everyone' | 'moderators'} posting
 * @property {number} slowMode in seconds
 * @property {number} members
 * @property {'all' | 'mentions' | 'none'} notify
 * @property {boolean} favorite
 * @property {{id: string, nickname: string}} [peer] of a direct room
 * @property {string} sequence
 * @property {string} [read]
 * @property {number} unread
 * @property {Message} [lastMessage]
 *
 * @typedef {Object} Member
 * @property {string} user
 * @property {string} nickname
 * @property {'owner' | 'moderator' | 'member'} role
 * @property {string} [mutedUntil]
 *
 * @typedef {Object} Invitation one that waits for the user's consent
 * @property {string} room
 * @property {string} name
 * @property {{id: string, nickname: string}} by
 * @property {string} time
 *
 * @typedef {Object} Friend
 * @property {string} id
 * @property {string} nickname
 * @property {string} [email]
 *
 * @typedef {Object} Hit
 * @property {string} room
 * @property {string} sequence
 * @property {string} user
 * @property {string} nickname
 * @property {string} text
 * @property {string} time
 * @property {[number, number][]} highlights in UTF-16 code units
 */

/**
 * One HTTP request; the answer's JSON. Rejects with a {@link Problem}, of status
 * 0 when the server cannot be reached.
 * @param {{origin: string, fetch: typeof fetch}} where
 * @param {string} method @param {string} path
 * @param {{token?: string, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function request({ origin, fetch }, method, path, { token, body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(origin + path, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new Problem(0, { title: 'The server cannot be reached' });
  }
  if (!response.ok) throw await Problem.of(response);
  return response.status === 204 ? undefined : response.json();
}

/** @param {Record<string, string | number | undefined>} parameters */
function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return set.length ? `?${new URLSearchParams(set.map(([name, value]) => [name, String(value)]))}` : '';
}

const path = encodeURIComponent;

/** The HTTP interface, as the user of a session. */
export class API {
  /** @type {Map<string, string>} by address: who came to the friends when it was added */ #befriended = new Map();

  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.session = session;
  }

  /** @param {string} method @param {string} target @param {any} [body] @param {AbortSignal} [signal] */
  async #call(method, target, body, signal) {
    const { accessToken } = await this.session.token();
    try {
      return await request(this.session, method, target, { token: accessToken, body, signal });
    } catch (err) {
      if (!(err instanceof Problem) || err.status !== 401) throw err;
      const fresh = await this.session.token(accessToken);
      return request(this.session, method, target, { token: fresh.accessToken, body, signal });
    }
  }

  /** @returns {Promise<RoomSummary[]>} */
  async rooms() {
    return (await this.#call('GET', '/v1/rooms')).rooms;
  }

  /** @param {string} name @returns {Promise<{id: string}>} */
  createRoom(name) {
    return this.#call('POST', '/v1/rooms', { name });
  }

  /** @param {string} room */
  join(room) {
    return this.#call('POST', `/v1/rooms/${path(room)}/members`, {});
  }

  /** Somebody who does not know the user has to consent: then there is no role yet.
   * @param {string} room @param {string} user @returns {Promise<{user: string, role?: string}>} */
  invite(room, user) {
    return this.#call('POST', `/v1/rooms/${path(room)}/members`, { user });
  }

  /** Accepted by joining, declined by removing oneself. @returns {Promise<Invitation[]>} */
  async invitations() {
    return (await this.#call('GET', '/v1/me/invitations')).invitations;
  }

  /** Leaves, declines an invitation, or removes another. @param {string} room @param {string} user */
  remove(room, user) {
    return this.#call('DELETE', `/v1/rooms/${path(room)}/members/${path(user)}`);
  }

  /** How far the members have read. @param {string} room @returns {Promise<{hidden?: boolean, receipts: {user: string, upTo: string}[]}>} */
  receipts(room) {
    return this.#call('GET', `/v1/rooms/${path(room)}/receipts`);
  }

  /** @param {string} room @returns {Promise<Member[]>} */
  async members(room) {
    return (await this.#call('GET', `/v1/rooms/${path(room)}/members`)).members;
  }

  /** @param {string} user @returns {Promise<{id: string}>} */
  direct(user) {
    return this.#call('POST', '/v1/direct', { user });
  }

  /**
   * `sequence` is what the messages are at: later events change them.
   * @param {string} room @param {{before?: string, after?: string, around?: string, limit?: number}} range
   * @returns {Promise<{messages: Message[], more: boolean, sequence: string}>}
   */
  messages(room, range) {
    return this.#call('GET', `/v1/rooms/${path(room)}/messages${query(range)}`);
  }

  /** @param {string} room @param {string} sequence @returns {Promise<Message>} */
  message(room, sequence) {
    return this.#call('GET', `/v1/rooms/${path(room)}/messages/${path(sequence)}`);
  }

  /** Latest pinned first. @param {string} room @returns {Promise<Message[]>} */
  async pins(room) {
    return (await this.#call('GET', `/v1/rooms/${path(room)}/pins`)).pins;
  }

  /**
   * Without `q` one of `from`, `mentions` and `has` must be there; `q` may have operators such as from:nickname, whose dates are in `tz`.
   * @param {{q?: string, room?: string, from?: string, mentions?: 'me', has?: 'link' | 'image' | 'file', tz?: string,
   *   before?: string, after?: string, limit?: number, cursor?: string}} search
   * @param {AbortSignal} [signal]
   * @returns {Promise<{hits: Hit[], cursor?: string, suggestion?: string}>}
   */
  search(search, signal) {
    return this.#call('GET', `/v1/search${query(search)}`, undefined, signal);
  }

  /** @param {string} nickname */
  rename(nickname) {
    return this.#call('PATCH', '/v1/me', { nickname });
  }

  /** @returns {Promise<Friend[]>} */
  async friends() {
    return (await this.#call('GET', '/v1/me/friends')).friends;
  }

  /**
   * Adds whoever has an account with the address to the friends. The server does not
   * say whether anybody has; who has just come to the list it must have been.
   * @param {string} email @returns {Promise<Friend>} a problem of status 404 when nobody came
   */
  async befriend(email) {
    const address = email.trim().toLowerCase();
    const before = new Set((await this.friends()).map(({ id }) => id));
    await this.#call('POST', '/v1/me/friends', { email });
    const after = await this.friends();
    const friend = after.find(({ id }) => !before.has(id)) ?? after.find(({ id }) => id === this.#befriended.get(address));
    if (!friend) throw new Problem(404);
    this.#befriended.set(address, friend.id);
    return friend;
  }
}

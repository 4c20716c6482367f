// @ts-check
import { folded, posted, quote } from './fold.js';
import { newID, PREFIX, userOf } from './knatter.js';
import { Timeline } from './timeline.js';

/** @typedef {import('./timeline.js').Entry} Entry */

const READ_PAUSE = 1000; // between two read.advanced of one room
const TYPING_PAUSE = 2000; // between two signals that the user types in a room; the server drops more
const TYPING_SHOWN = 6000; // since the last signal of somebody else
const MAX_UNREAD = 9999; // the server stops counting there too

/** A room as the user has it. */
export class Room {
  /** @type {Map<string, import('./api.js').Member>} who is a member now; empty until loaded */
  members = new Map();
  /** @type {Map<string, string>} nicknames of all whose messages were seen */
  nicknames = new Map();
  /** @type {Map<string, ReturnType<typeof setTimeout>>} who types, until when */
  typing = new Map();
  typed = 0; // when the user's own typing was told
  draft = '';
  /** @type {Promise<void> | undefined} */ loadingMembers;
  advancing = false;

  /**
   * @param {import('./api.js').RoomSummary} summary @param {import('./timeline.js').Load} load @param {() => void} changed
   * @param {string} me the user's id
   */
  constructor(summary, load, changed, me) {
    this.id = summary.id;
    this.name = summary.name;
    this.kind = summary.kind;
    this.read = summary.read ?? '';
    this.unread = summary.unread ?? 0;
    this.lastMessage = summary.lastMessage;
    this.since = summary.lastMessage?.time ?? '';
    /** `unread` counts everything up to here; a replay may repeat some of it */
    this.counted = [summary.sequence, summary.lastMessage?.sequence ?? ''].sort()[1];
    this.timeline = new Timeline(load, changed, me);
    if (summary.lastMessage) this.learn([summary.lastMessage]);
  }

  /** Remembers who sent messages. @param {{user: string, nickname?: string}[]} messages */
  learn(messages) {
    for (const { user, nickname } of messages) if (nickname) this.nicknames.set(user, nickname);
  }

  /** @param {string} user */
  nickname(user) {
    return this.members.get(user)?.nickname ?? this.nicknames.get(user);
  }
}

/**
 * The user's rooms: follows the events and answers what the views ask.
 *
 * Dispatches `change` (detail: {room}; without a room when the list changed) and
 * `message` (detail: {room, message}) for each live message of somebody else;
 * `typing` (detail: {room}) when somebody begins to type there or ends.
 */
export class Rooms extends EventTarget {
  /** @type {Map<string, Room>} */ #rooms = new Map();
  #api;
  #client;
  /** @type {Promise<void> | undefined} */ #refreshing;
  /** @type {import('./api.js').Invitation[]} those that wait for the user's consent */
  invitations = [];
  /** @type {import('./session.js').User} */ me;

  /**
   * @param {{api: import('./api.js').API, client: import('./knatter.js').Client,
   *   me: import('./session.js').User}} parts
   */
  constructor({ api, client, me }) {
    super();
    this.#api = api;
    this.#client = client;
    this.me = me;
    client.addEventListener('event', (e) => this.#handle(/** @type {CustomEvent} */ (e).detail));
    client.addEventListener('subscribed', (e) => {
      if (!this.#rooms.has(/** @type {CustomEvent} */ (e).detail.room)) void this.refresh();
    });
    client.addEventListener('unsubscribed', (e) => this.#forget(/** @type {CustomEvent} */ (e).detail.room));
  }

  /** Loads the list and follows everything that happens after it. */
  async start() {
    const list = await this.#api.rooms();
    this.#merge(list);
    this.#client.subscribeAll(list.map(({ id, sequence }) => ({ room: id, after: sequence })));
    this.#client.addEventListener('state', (e) => {
      // Rooms that were joined or left elsewhere while this page was away.
      if (/** @type {CustomEvent} */ (e).detail.state !== 'open') return;
      void this.refresh();
      void this.loadInvitations();
    });
    this.#client.connect();
  }

  /** @param {string} id */
  get(id) {
    return this.#rooms.get(id);
  }

  /** Latest first. @returns {Room[]} */
  sorted() {
    return [...this.#rooms.values()].sort((a, b) => (a.since < b.since ? 1 : a.since > b.since ? -1 : 0));
  }

  get unread() {
    return this.sorted().reduce((sum, room) => sum + room.unread, 0);
  }

  /** What a room is called: a direct room by the other person. @param {Room} room */
  title(room) {
    if (room.kind !== 'direct') return room.name || room.id;
    for (const [user, { nickname }] of room.members) if (user !== this.me.id) return nickname;
    for (const [user, nickname] of room.nicknames) if (user !== this.me.id) return nickname;
    void this.loadMembers(room);
    return room.name || '…';
  }

  /** Brings the set of rooms up to date; the events tell the rest. */
  refresh() {
    this.#refreshing ??= this.#api.rooms()
      .then((list) => this.#merge(list), () => {}) // the next reconnection tries again
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  /** Brings the invitations up to date: no event tells of them. */
  async loadInvitations() {
    const list = await this.#api.invitations().catch(() => undefined); // the next time will do
    if (!list || JSON.stringify(list) === JSON.stringify(this.invitations)) return;
    this.invitations = list;
    this.#changed();
  }

  /** @param {string} room */
  async accept(room) {
    await this.#api.join(room);
    await Promise.all([this.refresh(), this.loadInvitations()]);
  }

  /** @param {string} room */
  async decline(room) {
    await this.#api.remove(room, this.me.id).catch((err) => {
      if (err.status !== 404) throw err; // it was withdrawn meanwhile
    });
    await this.loadInvitations();
  }

  /** @param {import('./api.js').RoomSummary[]} list */
  #merge(list) {
    const ids = new Set(list.map(({ id }) => id));
    for (const id of this.#rooms.keys()) if (!ids.has(id)) this.#forget(id);
    for (const summary of list) {
      const known = this.#rooms.get(summary.id);
      if (known) {
        known.name = summary.name;
        continue;
      }
      const { id } = summary;
      /** @type {Room} */
      const room = new Room(summary, async (range) => {
        const page = await this.#api.messages(id, range);
        room.learn(page.messages);
        return page;
      }, () => this.#changed(room), this.me.id);
      // A new room without messages belongs at the top.
      if (!room.since) room.since = this.#rooms.size || list.length === 1 ? new Date().toISOString() : '';
      this.#rooms.set(id, room);
    }
    this.#changed();
  }

  /** @param {string} id */
  #forget(id) {
    this.#client.forget(id);
    if (this.#rooms.delete(id)) this.#changed();
  }

  /** @param {Room} [room] */
  #changed(room) {
    this.dispatchEvent(new CustomEvent('change', { detail: { room } }));
  }

  /** @param {import('./knatter.js').ChatEvent} event */
  #handle(event) {
    const room = this.#rooms.get(event.subject ?? '');
    const type = event.type.slice(PREFIX.length);
    if (!room) {
      if (type.startsWith('member.')) void this.refresh();
      return;
    }
    switch (type) {
      case 'message.posted':
        return this.#posted(room, event);
      case 'read.advanced':
        if (userOf(event) === this.me.id) this.#advanced(room, event.data.upTo);
        return;
      case 'typing.started':
        return this.#types(room, userOf(event));
      case 'room.updated': // the name is always there, and counts if it changed
        if (!event.data.changed || event.data.changed.includes('name')) room.name = event.data.name;
        return this.#changed();
    }
    if (type.startsWith('member.')) return this.#member(room, type, event.data);
    if (event.data?.message) this.#happened(room, event);
  }

  /** Something happened to a message. @param {Room} room @param {import('./knatter.js').ChatEvent} event */
  #happened(room, event) {
    const last = room.lastMessage;
    if (last) room.lastMessage = folded(last, event, this.me.id);
    const gone = room.timeline.entries.find(({ sequence }) => sequence === event.data.message);
    room.timeline.apply(event);
    if (!event.type.endsWith('.deleted') || event.data.message <= room.read || room.unread === 0) return;
    // Of a message that is not loaded it is not known here whether it counted.
    if (gone ? gone.user !== this.me.id && !gone.deleted : true) {
      room.unread--;
      this.#changed(room);
    }
  }

  /** @param {Room} room @param {import('./knatter.js').ChatEvent} event */
  #posted(room, event) {
    const user = userOf(event);
    /** @type {Entry} */
    const message = posted(event, room.nickname(user));
    const quoted = room.timeline.entries.find(({ sequence }) => sequence === message.replyTo);
    if (quoted && !message.deleted) message.quoted = quote(quoted);
    if (!message.nickname && user) void this.loadMembers(room, true);
    this.#typesNoMore(room, user);
    if (message.sequence > (room.lastMessage?.sequence ?? '')) {
      room.lastMessage = message;
      room.since = message.time;
    }
    const counted = message.sequence <= room.counted || message.sequence <= room.read;
    if (user !== this.me.id && !counted) room.unread = Math.min(MAX_UNREAD, room.unread + 1);
    room.timeline.arrive(message);
    if (user !== this.me.id) this.dispatchEvent(new CustomEvent('message', { detail: { room, message } }));
  }

  /** Tells the others that the user types, now and then. @param {Room} room */
  types(room) {
    if (Date.now() - room.typed < TYPING_PAUSE) return;
    room.typed = Date.now();
    this.#client.signal('typing.started', room.id);
  }

  /** @param {Room} room @param {string} user */
  #types(room, user) {
    const known = room.typing.get(user);
    clearTimeout(known);
    room.typing.set(user, setTimeout(() => this.#typesNoMore(room, user), TYPING_SHOWN));
    if (known === undefined) this.dispatchEvent(new CustomEvent('typing', { detail: { room } }));
  }

  /** @param {Room} room @param {string} user */
  #typesNoMore(room, user) {
    clearTimeout(room.typing.get(user));
    if (room.typing.delete(user)) this.dispatchEvent(new CustomEvent('typing', { detail: { room } }));
  }

  /** @param {Room} room @param {string} type @param {import('./api.js').Member & { changed?: string }} data */
  #member(room, type, { changed, ...member }) {
    if (type === 'member.joined' || type === 'member.updated') {
      const known = room.members.get(member.user);
      if (known && changed && changed !== 'role') member.role = known.role; // what is repeated may be out of date
      if (known && changed && changed !== 'nickname') member.nickname = known.nickname;
      room.nicknames.set(member.user, member.nickname);
      if (room.members.size) room.members.set(member.user, member);
    } else {
      room.members.delete(member.user);
      this.#typesNoMore(room, member.user);
      if (member.user === this.me.id) return this.#forget(room.id);
    }
    this.#changed(room);
  }

  /** @param {Room} room @param {boolean} [again] even if they are known */
  loadMembers(room, again = false) {
    if (room.members.size && !again) return Promise.resolve();
    room.loadingMembers ??= this.#api.members(room.id)
      .then((members) => {
        room.members = new Map(members.map((member) => [member.user, member]));
        room.learn(members);
        this.#changed(room);
      })
      .finally(() => (room.loadingMembers = undefined));
    return room.loadingMembers;
  }

  // ——— what the user does ———

  /** @param {Room} room @param {string} text */
  async post(room, text) {
    if (room.timeline.moreAfter) await room.timeline.latest().catch(() => {});
    await this.retry(room, {
      sequence: '', id: newID(), user: this.me.id, nickname: this.me.nickname, text,
      time: new Date().toISOString(),
    });
  }

  /** Sends the message, again if need be: the same id is stored once. @param {Room} room @param {Entry} message */
  async retry(room, message) {
    room.timeline.post(message);
    try {
      const sequence = await this.#client.send('message.posted', room.id, { text: message.text }, message.id);
      room.timeline.acknowledge(message, sequence);
    } catch (err) {
      room.timeline.fail(message, err);
    }
  }

  /** The user has seen the room up to here. @param {Room} room @param {string} sequence */
  seen(room, sequence) {
    if (sequence <= room.read) return;
    const hadUnread = room.unread > 0;
    this.#advanced(room, sequence);
    if (hadUnread) void this.#advance(room);
  }

  /** @param {Room} room @param {string} sequence */
  #advanced(room, sequence) {
    if (sequence <= room.read) return;
    room.read = sequence;
    const { entries, moreAfter, loaded } = room.timeline;
    if (sequence >= (room.lastMessage?.sequence ?? '')) {
      room.unread = 0;
    } else if (loaded && !moreAfter) {
      room.unread = entries.filter((e) => e.sequence > sequence && e.user !== this.me.id).length;
    }
    this.#changed(room);
  }

  /** Tells the others of this user's devices, at most once in a while. @param {Room} room */
  async #advance(room) {
    if (room.advancing) return;
    room.advancing = true;
    try {
      let sent;
      do {
        await new Promise((resolve) => setTimeout(resolve, READ_PAUSE));
        sent = room.read;
        await this.#client.send('read.advanced', room.id, { upTo: sent });
      } while (sent < room.read);
    } catch {
      // The next message that is seen tries again.
    } finally {
      room.advancing = false;
    }
  }
}

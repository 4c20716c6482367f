// @ts-check
/**
 * Keeps a room's messages as they are now: pages of history with the room's events
 * folded over them, in their order.
 *
 *     const fold = new Fold(session.user.id);
 *     client.addEventListener('event', ({ detail }) => detail.subject === room && fold.apply(detail));
 *     const page = await (await fetch(`${origin}/v1/rooms/${room}/messages`, …)).json();
 *     fold.load(page.messages, page.sequence);
 *     render(fold.messages);
 */

/**
 * @typedef {import('./api.js').Message & {at?: string}} Message `at`: up to where the room's events are in it
 * @typedef {import('./api.js').Reaction} Reaction
 * @typedef {import('./knatter.js').ChatEvent} ChatEvent
 */

const PREFIX = 'dev.knatter.';
const MAX_QUOTED = 200;
const MAX_USERS = 10; // of a reaction, by name
const MAX_RECENT = 1000; // events that a page which is loaded later may lack

/** The type without its prefix. @param {ChatEvent} event */
const typeOf = (event) => event.type.slice(PREFIX.length);

/** @param {ChatEvent} event */
const senderOf = ({ source }) => (source.startsWith('/users/') ? source.slice('/users/'.length) : '');

/** The message that an event posts. @param {ChatEvent} event @param {string} [nickname] @returns {Message} */
export function posted(event, nickname = '') {
  const { text = '', deleted, replyTo, mentions, attachments } = event.data;
  const sequence = event.sequence ?? '';
  return clean({
    sequence, id: event.id, user: senderOf(event), nickname, text, time: event.time ?? '', at: sequence,
    deleted, replyTo, mentions, attachments,
  });
}

/** How others quote a message. @param {Message} message @returns {import('./api.js').Quoted} */
export function quote({ user, nickname, text, deleted }) {
  return clean({ user, nickname, text: [...text].slice(0, MAX_QUOTED).join(''), deleted });
}

/**
 * A message with an event folded over it: a new one, or the same if the event says nothing
 * new of it. @param {Message} message @param {ChatEvent} event @param {string} me
 * @returns {Message}
 */
export function folded(message, event, me) {
  const sequence = event.sequence ?? '';
  const about = event.data?.message;
  if (!about || sequence <= (message.at ?? message.sequence) || message.deleted) return message;
  if (about === message.sequence) return { ...changed(message, event, me), at: sequence };
  const { quoted } = message;
  if (about !== message.replyTo || !quoted || quoted.deleted) return message;
  switch (typeOf(event)) {
    case 'message.edited':
      return { ...message, quoted: quote({ ...message, ...quoted, text: event.data.text ?? '', deleted: event.data.deleted }) };
    case 'message.deleted':
      return { ...message, quoted: quote({ ...message, ...quoted, text: '', deleted: true }) };
  }
  return message;
}

/** @param {Message} message @param {ChatEvent} event @param {string} me @returns {Message} */
function changed(message, event, me) {
  const { data } = event;
  switch (typeOf(event)) {
    case 'message.edited':
      if (data.deleted) return message; // its deletion follows
      return clean({ ...message, text: data.text, mentions: data.mentions, editedTime: event.time });
    case 'message.deleted': {
      const { sequence, id, user, nickname, time, replyTo } = message;
      return clean({ sequence, id, user, nickname, text: '', time, replyTo, deleted: true });
    }
    case 'message.pinned':
      return { ...message, pinned: true };
    case 'message.unpinned':
      return clean({ ...message, pinned: undefined });
    case 'reaction.added':
      return withReactions(message, reacted(message.reactions ?? [], event, true, me));
    case 'reaction.removed':
      return withReactions(message, reacted(message.reactions ?? [], event, false, me));
  }
  return message;
}

/** @param {Message} message @param {Reaction[]} reactions @returns {Message} */
const withReactions = (message, reactions) => clean({ ...message, reactions: reactions.length ? reactions : undefined });

/** @param {Reaction[]} all @param {ChatEvent} event @param {boolean} add @param {string} me @returns {Reaction[]} */
function reacted(all, event, add, me) {
  const user = senderOf(event);
  const { emoji } = event.data;
  /** @type {Reaction} */
  const was = all.find((r) => r.emoji === emoji) ?? { emoji, count: 0, users: [], added: [], mine: false };
  const place = was.users.indexOf(user);
  const complete = was.count === was.users.length;
  if (add ? place >= 0 : place < 0 && complete) return all; // as it was
  const now = { ...was, count: was.count + (add ? 1 : -1), mine: user === me ? add : was.mine };
  if (add && complete && was.users.length < MAX_USERS) {
    now.users = [...was.users, user];
    now.added = [...was.added, event.sequence ?? ''];
  } else if (!add) {
    now.users = was.users.filter((_, i) => i !== place);
    now.added = was.added.filter((_, i) => i !== place);
  }
  const others = all.filter((r) => r.emoji !== emoji);
  const list = now.count > 0 ? [...others, now] : others;
  return list.sort((a, b) => ((a.added[0] ?? '') < (b.added[0] ?? '') ? -1 : 1));
}

/** Without the members that are undefined. @template {object} T @param {T} object @returns {T} */
function clean(object) {
  return /** @type {T} */ (Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)));
}

/** The latest events about messages of a room: a page that was under way meanwhile lacks them. */
export class Recent {
  /** @type {ChatEvent[]} */ #events = [];

  /** @param {ChatEvent} event */
  add(event) {
    if (!event.data?.message) return;
    this.#events.push(event);
    if (this.#events.length > MAX_RECENT) this.#events.shift();
  }

  /** A loaded message with what happened since. @param {Message} message @param {string} at @param {string} me */
  over(message, at, me) {
    return this.#events.reduce((now, event) => folded(now, event, me), /** @type {Message} */ ({ ...message, at }));
  }
}

/** The messages of one room that were loaded or came since, each as it is now. */
export class Fold {
  /** @type {Map<string, Message>} */ #messages = new Map();
  /** @type {Map<string, {nickname: string, at: string}>} */ #names = new Map();
  #recent = new Recent();
  #me;

  /** @param {string} me the user's id */
  constructor(me) {
    this.#me = me;
  }

  /** Oldest first. @returns {Message[]} */
  get messages() {
    return [...this.#messages.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1));
  }

  /** @param {string} sequence */
  message(sequence) {
    return this.#messages.get(sequence);
  }

  /**
   * Takes a page of history. It replaces what is known of its messages, unless that is newer.
   * @param {Message[]} messages @param {string} at the page's `sequence`
   */
  load(messages, at) {
    for (const message of messages) {
      const was = this.#messages.get(message.sequence);
      if ((was?.at ?? '') > at) continue;
      this.#messages.set(message.sequence, this.#recent.over(message, at, this.#me));
      this.#call(message.user, message.nickname, at);
    }
  }

  /** Folds an event of the room, which come in their order; whether anything changed. @param {ChatEvent} event */
  apply(event) {
    const type = typeOf(event);
    if (type.startsWith('member.')) {
      const { user, nickname, changed: what } = event.data;
      return !(type === 'member.updated' && what === 'role') && this.#call(user, nickname, event.sequence ?? '');
    }
    if (type === 'message.posted') return this.#post(event);
    this.#recent.add(event);
    let any = false;
    for (const [sequence, message] of this.#messages) {
      const now = folded(message, event, this.#me);
      if (now === message) continue;
      this.#messages.set(sequence, now);
      any = true;
    }
    return any;
  }

  /** @param {ChatEvent} event */
  #post(event) {
    if (this.#messages.has(event.sequence ?? '')) return false;
    const message = posted(event, this.#names.get(senderOf(event))?.nickname);
    const original = message.replyTo && this.#messages.get(message.replyTo);
    if (original && !message.deleted) message.quoted = quote(original);
    this.#messages.set(message.sequence, message);
    return true;
  }

  /** @param {string} user @param {string} nickname @param {string} at */
  #call(user, nickname, at) {
    if (!nickname || (this.#names.get(user)?.at ?? '') > at) return false;
    this.#names.set(user, { nickname, at });
    let any = false;
    for (const [sequence, message] of this.#messages) {
      const { quoted } = message;
      const mine = message.user === user && message.nickname !== nickname;
      const quotes = quoted?.user === user && quoted.nickname !== nickname;
      if (!mine && !quotes) continue;
      this.#messages.set(sequence, {
        ...message, ...(mine && { nickname }), ...(quotes && quoted && { quoted: { ...quoted, nickname } }),
      });
      any = true;
    }
    return any;
  }
}

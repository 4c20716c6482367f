// @ts-check
import { avatar } from './avatar.js';
import { Composer } from './composer.js';
import { copy, fill, framed, h } from './dom.js';
import { icon } from './icons.js';
import { keyOf, renderRow, rowsOf } from './message.js';
import { Scroller } from './scroller.js';
import { t } from './settings.js';
import { announce } from './status.js';

const NEAR = 40; // with fewer unread messages the newest page holds them all

/** Who has just joined begins at the end, not at the room's first day. @param {import('./rooms.js').Room} room */
const hasRead = ({ read }) => Number(read) > 0;

/** One room: its messages and where to write. */
export class Conversation {
  #rooms;
  #room;
  #actions;
  #below = 0; // came while the reader was further up
  #unreadAfter = '';
  /** @type {{sequence: string, highlights: [number, number][]} | undefined} */ #found;
  /** @type {Scroller<import('./message.js').MessageRow>} */ #scroller;
  #drawHeader = () => {};
  #listeners = new AbortController();
  #update = framed(() => {
    this.#draw();
    this.#drawHeader();
  });

  /**
   * @param {{rooms: import('./rooms.js').Rooms, room: import('./rooms.js').Room,
   *   onback: () => void, onmembers: () => void, onsearch: () => void}} options
   */
  constructor({ rooms, room, onback, onmembers, onsearch }) {
    this.#rooms = rooms;
    this.#room = room;
    this.#actions = {
      retry: (/** @type {any} */ message) => void rooms.retry(room, message),
      discard: (/** @type {any} */ message) => room.timeline.discard(message),
    };
    this.#unreadAfter = room.unread > 0 && hasRead(room) ? room.read : '';
    this.#scroller = new Scroller({
      label: t('messages'),
      render: (row) => renderRow(row, this.#actions),
      onedge: (edge) => void this.#more(edge),
      onscroll: () => this.#look(),
    });
    this.header = h('header', { class: 'bar' });
    this.#drawHeader = () => this.#header(onback, onmembers, onsearch);
    this.#drawHeader();
    this.note = h('div', { class: 'note' });
    this.below = h('button', { type: 'button', class: 'below', hidden: true, onclick: () => void this.#toEnd() });
    this.typing = h('p', { class: 'typing' });
    this.composer = new Composer({
      to: rooms.title(room),
      draft: room.draft,
      ondraft: (text) => (room.draft = text),
      ontype: () => rooms.types(room),
      onsend: (text) => void this.#send(text),
    });
    this.root = h('main', { class: 'conversation', 'aria-label': rooms.title(room) },
      this.header, h('div', { class: 'stage' }, this.#scroller.root, this.note, this.below), this.typing, this.composer.root);
    this.#drawTyping();

    const { signal } = this.#listeners;
    rooms.addEventListener('change', (e) => {
      const changed = /** @type {CustomEvent} */ (e).detail.room;
      if (!changed || changed === room) this.#update();
    }, { signal });
    rooms.addEventListener('typing', (e) => {
      if (/** @type {CustomEvent} */ (e).detail.room === room) this.#drawTyping();
    }, { signal });
    rooms.addEventListener('message', (e) => this.#heard(/** @type {CustomEvent} */ (e).detail), { signal });
    document.addEventListener('visibilitychange', () => this.#look(), { signal });
    window.addEventListener('focus', () => this.#look(), { signal });
    void rooms.loadMembers(room).catch(() => {}); // names come with the messages too
  }

  close() {
    this.#listeners.abort();
    this.#scroller.close();
  }

  get room() {
    return this.#room;
  }

  /** Shows the room where the reader left off, or at a message that was searched for. */
  async open(/** @type {{sequence: string, highlights: [number, number][]} | undefined} */ found) {
    const { timeline, unread, read } = this.#room;
    this.#found = found;
    try {
      if (found) await timeline.around(found.sequence);
      else if (unread > NEAR && hasRead(this.#room)) await timeline.around(read);
      else await timeline.latest();
    } catch {
      return this.#draw();
    }
    this.#draw();
    if (found) {
      const entry = timeline.entries.find(({ sequence }) => sequence === found.sequence);
      if (entry) this.#scroller.toRow(keyOf(entry));
    } else if (!this.#unreadAfter || !this.#scroller.toRow('unread', 0.2)) {
      this.#scroller.toEnd();
    }
    this.#look();
  }

  /** @param {() => void} onback @param {() => void} onmembers @param {() => void} onsearch */
  #header(onback, onmembers, onsearch) {
    const room = this.#room;
    const title = this.#rooms.title(room);
    const state = `${title}\n${room.members.size}`;
    if (this.header.dataset.state === state) return; // keeps the focus where it is
    this.header.dataset.state = state;
    fill(this.header,
      h('button', { type: 'button', class: 'quiet back', onclick: onback, 'aria-label': t('back'), title: t('back') }, icon('back')),
      avatar(room.id, title),
      h('div', { class: 'titles' },
        h('h1', {}, title),
        room.kind !== 'direct' && h('button', {
          type: 'button', class: 'code', title: t('codeHint'), 'aria-label': t('copyCode', room.id),
          onclick: () => void copy(room.id).then(() => announce(t('codeCopied'), true)),
        }, h('span', {}, room.id), icon('copy'))),
      h('button', { type: 'button', class: 'quiet', onclick: onsearch, 'aria-label': t('search'), title: t('search') }, icon('search')),
      h('button', {
        type: 'button', class: 'quiet people', onclick: onmembers,
        'aria-label': room.members.size ? t('memberCount', room.members.size) : t('members'), title: t('members'),
      }, icon('people'), room.members.size > 0 && h('span', {}, String(room.members.size))));
  }

  #drawTyping() {
    const names = [...this.#room.typing.keys()].map((user) => this.#room.nickname(user) ?? t('someone'));
    this.typing.textContent = names.length ? t('typing', names) : '';
  }

  #draw() {
    const { timeline } = this.#room;
    this.#scroller.update(rowsOf({
      entries: timeline.entries,
      pending: timeline.moreAfter && timeline.loaded ? [] : timeline.pending,
      moreBefore: timeline.moreBefore,
      me: this.#rooms.me.id,
      unreadAfter: this.#unreadAfter,
      nickname: (user) => this.#room.nickname(user),
      found: this.#found,
    }));
    const empty = timeline.loaded && !timeline.entries.length && !timeline.pending.length;
    if (timeline.failed) {
      fill(this.note, h('p', {}, t('unreachable')),
        h('button', { type: 'button', class: 'secondary', onclick: () => void this.open(this.#found) }, t('tryAgain')));
    } else if (empty) {
      fill(this.note, h('p', { class: 'strong' }, t('noMessages')), h('p', {}, t('noMessagesHint')));
    } else if (!timeline.loaded) {
      fill(this.note, h('p', {}, t('loading')));
    } else {
      fill(this.note);
    }
    this.#look();
  }

  /** @param {'start' | 'end'} edge */
  async #more(edge) {
    const { timeline } = this.#room;
    try {
      await (edge === 'start' ? timeline.older() : timeline.newer());
    } catch {
      // The next scroll asks again.
    }
  }

  /** Notes what the reader sees. */
  #look() {
    const { timeline } = this.#room;
    const atEnd = this.#scroller.atEnd && !timeline.moreAfter;
    if (atEnd) this.#below = 0;
    this.below.hidden = atEnd || !timeline.loaded;
    const label = this.#below ? t('newBelow', this.#below) : t('toLatest');
    if (this.below.dataset.label !== label) {
      this.below.dataset.label = label;
      fill(this.below, icon('down'), h('span', {}, label));
    }
    if (document.visibilityState !== 'visible' || !document.hasFocus()) return;
    const seen = this.#scroller.visible().findLast((row) => row.message?.sequence)?.message?.sequence;
    if (seen) this.#rooms.seen(this.#room, seen);
  }

  /** @param {{room: import('./rooms.js').Room, message: import('./timeline.js').Entry}} detail */
  #heard({ room, message }) {
    if (room !== this.#room) return;
    const nickname = room.nickname(message.user) ?? t('someone');
    announce(`${nickname}: ${[...message.text].slice(0, 200).join('')}`);
    if (!this.#scroller.stuck || room.timeline.moreAfter) this.#below++;
    // Away from the page, the mark shows where to go on reading.
    if (!document.hasFocus() && !this.#unreadAfter) this.#unreadAfter = hasRead(room) ? room.read : '';
  }

  /** @param {string} text */
  async #send(text) {
    this.#unreadAfter = '';
    const sent = this.#rooms.post(this.#room, text);
    await this.#toEnd();
    await sent;
  }

  async #toEnd() {
    this.#found = undefined;
    await this.#room.timeline.latest().catch(() => {});
    this.#draw();
    this.#scroller.toEnd();
    this.#look();
  }
}

// @ts-check
import { avatar } from './avatar.js';
import { briefly, fully } from './calendar.js';
import { fill, framed, h } from './dom.js';
import { icon } from './icons.js';
import { t } from './settings.js';
import { announce, explain } from './status.js';

const LOOK = 30_000; // for invitations, while somebody looks at the page

/** The user's rooms, latest first. Arrow keys move, Enter opens. */
export class RoomList {
  #rooms;
  #current = '';
  #listeners = new AbortController();
  #update = framed(() => this.#draw());
  /** @type {import('./api.js').Invitation[] | undefined} as they are drawn */ #invitations;
  /** @type {ReturnType<typeof setInterval>} */ #timer;

  /**
   * @param {{rooms: import('./rooms.js').Rooms, onnew: () => void, onsearch: () => void, onsettings: () => void}} options
   */
  constructor({ rooms, onnew, onsearch, onsettings }) {
    this.#rooms = rooms;
    this.list = h('ul', { class: 'room-list', role: 'list', onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) });
    this.invitations = h('ul', { class: 'invitations', role: 'list', 'aria-label': t('invitations') });
    this.root = h('nav', { class: 'sidebar', 'aria-label': t('rooms') },
      h('header', { class: 'bar' },
        h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }),
        h('p', { class: 'titles brand' }, 'Knatter'),
        h('button', { type: 'button', class: 'quiet', onclick: onsearch, 'aria-label': t('searchMessages'), title: t('searchMessages') }, icon('search')),
        h('button', { type: 'button', class: 'quiet', onclick: onnew, 'aria-label': t('newRoom'), title: t('newRoom') }, icon('plus'))),
      this.invitations,
      this.list,
      h('footer', {},
        h('button', { type: 'button', class: 'me', onclick: onsettings },
          avatar(rooms.me.id, rooms.me.nickname), h('span', { class: 'name' }, rooms.me.nickname),
          h('span', { class: 'hidden-visually' }, t('settings')), icon('settings'))));
    const { signal } = this.#listeners;
    rooms.addEventListener('change', () => this.#update(), { signal });
    const look = () => void (document.hidden || rooms.loadInvitations());
    document.addEventListener('visibilitychange', look, { signal });
    this.#timer = setInterval(look, LOOK);
    this.#draw();
  }

  close() {
    this.#listeners.abort();
    clearInterval(this.#timer);
  }

  /** @param {string} room */
  select(room) {
    this.#current = room;
    this.#draw();
  }

  #drawInvitations() {
    const { invitations } = this.#rooms;
    if (invitations === this.#invitations) return; // whoever is about to answer keeps the focus
    this.#invitations = invitations;
    this.invitations.hidden = !invitations.length;
    fill(this.invitations, invitations.map(({ room, name, by }) => h('li', {},
      avatar(room, name),
      h('p', {}, h('span', { class: 'name' }, name), h('span', { class: 'hint' }, t('invitedBy', by.nickname))),
      this.#answer('accept', t('acceptInvitation', name), () => this.#rooms.accept(room)),
      this.#answer('decline', t('declineInvitation', name), () => this.#rooms.decline(room)))));
  }

  /** @param {'accept' | 'decline'} word @param {string} label @param {() => Promise<void>} action */
  #answer(word, label, action) {
    return h('button', {
      type: 'button', class: word === 'accept' ? 'primary' : 'secondary', 'aria-label': label,
      onclick: () => action().catch((err) => announce(explain(err), true)),
    }, t(word));
  }

  #draw() {
    this.#drawInvitations();
    const focused = document.activeElement instanceof HTMLElement && this.list.contains(document.activeElement)
      ? document.activeElement.dataset.room : undefined;
    const rooms = this.#rooms.sorted();
    if (!rooms.length) {
      fill(this.list, h('li', { class: 'empty' }, h('p', { class: 'strong' }, t('noRooms')), h('p', {}, t('noRoomsHint'))));
      return;
    }
    // One stop for the Tab key; the arrows move within the list.
    const stop = focused ?? (rooms.some(({ id }) => id === this.#current) ? this.#current : rooms[0].id);
    fill(this.list, rooms.map((room) => h('li', {}, this.#item(room, room.id === stop))));
    if (focused) this.#node(focused)?.focus({ preventScroll: true });
  }

  /** @param {import('./rooms.js').Room} room @param {boolean} stop */
  #item(room, stop) {
    const { lastMessage, unread } = room;
    const title = this.#rooms.title(room);
    const mine = lastMessage?.user === this.#rooms.me.id;
    const who = !lastMessage ? '' : mine ? t('you') : (room.nickname(lastMessage.user) ?? lastMessage.nickname);
    return h('a', {
      class: 'room', href: `#/r/${encodeURIComponent(room.id)}`, 'data-room': room.id, tabIndex: stop ? 0 : -1,
      'aria-current': room.id === this.#current ? 'page' : undefined,
    },
      avatar(room.id, title),
      h('span', { class: 'name' }, title),
      lastMessage && h('time', { datetime: lastMessage.time, title: fully(lastMessage.time) }, briefly(lastMessage.time)),
      h('span', { class: 'last', dir: 'auto' }, lastMessage && !lastMessage.deleted
        ? (room.kind === 'direct' && !mine ? '' : `${who}: `) + lastMessage.text.slice(0, 200) : '\u00a0'),
      unread > 0 && h('span', { class: 'badge' },
        h('span', { 'aria-hidden': 'true' }, unread > 999 ? '999+' : String(unread)),
        h('span', { class: 'hidden-visually' }, t('unreadCount', unread))));
  }

  /** @param {string} room */
  #node(room) {
    return [...this.list.querySelectorAll('a')].find((item) => item.dataset.room === room);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const items = [...this.list.querySelectorAll('a')];
    const at = items.findIndex((item) => item === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    const item = to === undefined ? undefined : items[Math.min(Math.max(to, 0), items.length - 1)];
    if (!item) return;
    event.preventDefault();
    for (const other of items) other.tabIndex = other === item ? 0 : -1;
    item.focus();
  }
}

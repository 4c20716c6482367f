// @ts-check
import { API } from './api.js';
import { Conversation } from './conversation.js';
import { openNewChat, openSettings } from './dialogs.js';
import { fill, framed, h } from './dom.js';
import { Client, CloseCode } from './knatter.js';
import { MembersPanel } from './members.js';
import { RoomList } from './roomlist.js';
import { Rooms } from './rooms.js';
import { SearchPanel } from './search.js';
import { t } from './settings.js';
import { ConnectionBanner, explain } from './status.js';

/** Everything that a user sees after logging in. The address says which room is open. */
export class Chat {
  #session;
  #api;
  #client;
  #rooms;
  #listeners = new AbortController();
  /** @type {RoomList | undefined} */ #list;
  /** @type {ConnectionBanner | undefined} */ #banner;
  /** @type {Conversation | undefined} */ #conversation;
  /** @type {MembersPanel | SearchPanel | undefined} */ #panel;
  /** what had the focus before the panel @type {Element | null} */ #before = null;
  /** @type {import('./api.js').Hit | undefined} where the address is about to go */ #hit;

  /** @param {{session: import('./session.js').Session, user: import('./session.js').User}} options */
  constructor({ session, user }) {
    this.#session = session;
    this.#api = new API(session);
    this.#client = new Client({ origin: session.origin, token: (stale) => session.token(stale) });
    this.#rooms = new Rooms({ api: this.#api, client: this.#client, me: user });
    this.root = h('div', { class: 'chat' });
    const { signal } = this.#listeners;
    window.addEventListener('hashchange', () => this.#route(), { signal });
    window.addEventListener('keydown', (event) => this.#key(event), { signal });
    this.#rooms.addEventListener('change', framed(() => {
      document.title = this.#rooms.unread ? `(${this.#rooms.unread}) Knatter` : 'Knatter';
      // Removed from the open room: it is gone.
      if (this.#conversation && !this.#rooms.get(this.#conversation.room.id)) location.hash = '#/';
    }), { signal });
    this.#client.addEventListener('reset', () => location.reload());
    this.#client.addEventListener('closed', (event) => {
      // Not even a fresh token was taken: there is nothing left but to log in again.
      const { code } = /** @type {CustomEvent} */ (event).detail;
      if (code === CloseCode.unauthenticated) void session.logout().catch(() => {});
    }, { signal });
    void this.#start();
  }

  close() {
    this.#listeners.abort();
    this.#closeViews();
    this.#client.close();
    document.title = 'Knatter';
  }

  async #start() {
    fill(this.root, h('main', { class: 'account' }, h('p', {}, t('loading'))));
    try {
      await this.#rooms.start();
    } catch (err) {
      fill(this.root, h('main', { class: 'account' }, h('div', { class: 'card' }, h('p', { role: 'alert' }, explain(err)),
        h('button', { type: 'button', class: 'primary', onclick: () => void this.#start() }, t('tryAgain')))));
      return;
    }
    this.draw();
  }

  /** Draws everything, also when the language has changed. */
  draw() {
    this.#closeViews();
    this.#banner = new ConnectionBanner(this.#client);
    this.#list = new RoomList({
      rooms: this.#rooms,
      onnew: () => this.#newChat(),
      onsearch: () => this.#search(),
      onsettings: () => this.#settings(),
    });
    fill(this.root, this.#list.root, this.#banner.root);
    this.#route();
  }

  #closeViews() {
    this.#closePanel();
    this.#conversation?.close();
    this.#conversation = undefined;
    this.#list?.close();
    this.#banner?.close();
  }

  /** Goes where the address says: `#/r/{room}`, `#/join/{code}`, or the list. */
  #route() {
    const [, kind, encoded = ''] = location.hash.split('/');
    const id = decodeURIComponent(encoded);
    const hit = this.#hit;
    this.#hit = undefined;
    if (kind === 'join') {
      history.replaceState(null, '', '#/');
      this.#newChat(id);
    }
    const room = kind === 'r' ? this.#rooms.get(id) : undefined;
    if (room && room === this.#conversation?.room) {
      if (hit) void this.#conversation.open(hit);
      return;
    }
    this.#conversation?.close();
    this.#conversation = undefined;
    if (this.#panel instanceof MembersPanel) this.#closePanel();
    for (const main of this.root.querySelectorAll('main')) main.remove();
    this.root.classList.toggle('in-room', Boolean(room));
    this.#list?.select(room?.id ?? '');
    if (!room) {
      this.#list?.root.after(h('main', { class: 'conversation nothing' }, h('p', {}, t('pickRoom'))));
      return;
    }
    const conversation = (this.#conversation = new Conversation({
      rooms: this.#rooms,
      room,
      onback: () => (location.hash = '#/'),
      onmembers: () => this.#members(room),
      onsearch: () => this.#search(room),
    }));
    this.#list?.root.after(conversation.root);
    void conversation.open(hit);
    // On a phone the keyboard would cover what one came to read.
    if (!hit && matchMedia('(hover: hover)').matches) conversation.composer.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape' && this.#panel) {
      event.preventDefault();
      this.#closePanel();
    } else if (event.key === 'k' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.#search();
    }
  }

  // ——— panels and dialogs ———

  /** @param {MembersPanel | SearchPanel} panel */
  #openPanel(panel) {
    this.#closePanel();
    this.#before = document.activeElement;
    this.#panel = panel;
    this.root.append(panel.root);
    this.root.classList.add('with-panel');
    panel.focus();
  }

  #closePanel() {
    if (!this.#panel) return;
    this.#panel.close();
    this.#panel.root.remove();
    this.#panel = undefined;
    this.root.classList.remove('with-panel');
    if (this.#before instanceof HTMLElement && this.#before.isConnected) this.#before.focus();
    else this.#conversation?.composer.focus();
  }

  /** @param {import('./rooms.js').Room} room */
  #members(room) {
    if (this.#panel instanceof MembersPanel) return this.#closePanel();
    this.#openPanel(new MembersPanel({
      rooms: this.#rooms, api: this.#api, room,
      onclose: () => this.#closePanel(),
      onleft: () => {
        this.#closePanel();
        location.hash = '#/';
      },
    }));
  }

  /** @param {import('./rooms.js').Room} [room] */
  #search(room) {
    this.#openPanel(new SearchPanel({
      rooms: this.#rooms, api: this.#api, room,
      onclose: () => this.#closePanel(),
      onhit: (hit) => {
        // Where there is no space for both, the conversation takes the place.
        if (matchMedia('(max-width: 1000px)').matches) this.#closePanel();
        this.#hit = hit;
        const target = `#/r/${encodeURIComponent(hit.room)}`;
        if (location.hash === target) this.#route();
        else location.hash = target;
      },
    }));
  }

  /** @param {string} [code] */
  #newChat(code) {
    openNewChat({
      api: this.#api,
      code,
      onroom: async (room) => {
        await this.#rooms.refresh();
        if (!this.#rooms.get(room)) await this.#rooms.refresh(); // one was under way already
        location.hash = `#/r/${encodeURIComponent(room)}`;
      },
    });
  }

  #settings() {
    openSettings({
      api: this.#api,
      me: this.#rooms.me,
      onrename: (nickname) => {
        this.#session.renamed(nickname);
        this.#rooms.me = { ...this.#rooms.me, nickname };
        this.draw();
      },
      onlogout: () => void this.#session.logout().catch(() => {}),
    });
  }
}


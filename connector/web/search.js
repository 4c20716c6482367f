// @ts-check
import { avatar } from './avatar.js';
import { briefly, fully, startOf } from './calendar.js';
import { fill, h } from './dom.js';
import { excerpt, pieces } from './highlights.js';
import { icon } from './icons.js';
import { t } from './settings.js';
import { explain } from './status.js';

const PAUSE = 250; // after the last key
const PAGE = 30;

/** Where the user's days begin, as far as the browser knows. */
function zone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return timeZone === 'Etc/Unknown' ? undefined : timeZone;
}

/** Searching the messages of all the user's rooms. */
export class SearchPanel {
  #rooms;
  #api;
  #onhit;
  /** @type {AbortController | undefined} */ #running;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #count = 0;

  /**
   * @param {{rooms: import('./rooms.js').Rooms, api: import('./api.js').API, room?: import('./rooms.js').Room,
   *   onclose: () => void, onhit: (hit: import('./api.js').Hit) => void}} options `room` is the filter to begin with
   */
  constructor({ rooms, api, room, onclose, onhit }) {
    this.#rooms = rooms;
    this.#api = api;
    this.#onhit = onhit;
    const soon = () => this.#soon(PAUSE);
    this.input = h('input', { type: 'search', name: 'q', 'aria-label': t('searchMessages'), placeholder: t('searchMessages'), autocomplete: 'off', enterkeyhint: 'search', maxlength: 200, oninput: soon });
    this.room = h('select', { id: 'search-room', onchange: () => this.#roomChosen() },
      h('option', { value: '' }, t('allRooms')),
      rooms.sorted().map((r) => h('option', { value: r.id, selected: r === room }, rooms.title(r))));
    this.from = h('select', { id: 'search-from', onchange: soon });
    this.since = h('input', { type: 'date', id: 'search-since', onchange: soon });
    this.until = h('input', { type: 'date', id: 'search-until', onchange: soon });
    this.status = h('p', { class: 'hint', role: 'status' }, t('searchHint'));
    this.hits = h('ul', { class: 'hits', role: 'list', 'aria-label': t('search') });
    this.more = h('div', { class: 'more' });
    const filter = (/** @type {string} */ label, /** @type {HTMLElement} */ control) =>
      h('div', { class: 'labelled' }, h('label', { htmlFor: control.id }, label), control);
    this.root = h('aside', { class: 'panel search', 'aria-label': t('search') },
      h('header', { class: 'bar' }, h('h2', {}, t('search')),
        h('button', { type: 'button', class: 'quiet', onclick: onclose, 'aria-label': t('close'), title: t('close') }, icon('close'))),
      h('form', {
        role: 'search', class: 'filters',
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          this.#soon(0);
        },
      }, this.input, filter(t('inRoom'), this.room), filter(t('from'), this.from),
        filter(t('since'), this.since), filter(t('until'), this.until)),
      this.status,
      h('div', { class: 'panel-content', tabIndex: -1 }, this.hits, this.more));
    this.#roomChosen();
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  close() {
    clearTimeout(this.#timer);
    this.#running?.abort();
  }

  #roomChosen() {
    const room = this.#rooms.get(this.room.value);
    this.#fillSenders();
    if (room) void this.#rooms.loadMembers(room).then(() => this.#fillSenders(), () => {});
    this.#soon(0);
  }

  #fillSenders() {
    const chosen = this.from.value;
    const room = this.#rooms.get(this.room.value);
    /** @type {Map<string, string>} */
    const people = new Map();
    for (const { nicknames } of room ? [room] : this.#rooms.sorted()) {
      for (const [user, nickname] of nicknames) people.set(user, nickname);
    }
    people.set(this.#rooms.me.id, `${this.#rooms.me.nickname} (${t('you')})`);
    fill(this.from, h('option', { value: '' }, t('anyone')),
      [...people].sort((a, b) => a[1].localeCompare(b[1]))
        .map(([user, name]) => h('option', { value: user, selected: user === chosen }, name)));
  }

  /** @param {number} pause */
  #soon(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#search(), pause);
  }

  /** @param {string} [cursor] */
  async #search(cursor) {
    this.#running?.abort();
    const q = this.input.value.trim();
    if (!q) {
      fill(this.hits);
      fill(this.more);
      fill(this.status, t('searchHint'));
      return;
    }
    const running = (this.#running = new AbortController());
    try {
      const answer = await this.#api.search({
        q, cursor, limit: PAGE, tz: zone(),
        room: this.room.value, from: this.from.value,
        // Both bounds are exclusive; the days that the user names are not.
        after: this.since.value && new Date(startOf(this.since.value).getTime() - 1).toISOString(),
        before: this.until.value && startOf(this.until.value, 1).toISOString(),
      }, running.signal);
      if (!cursor) {
        this.#count = 0;
        fill(this.hits);
        this.root.querySelector('.panel-content')?.scrollTo(0, 0);
      }
      this.#count += answer.hits.length;
      this.hits.append(...answer.hits.map((hit) => this.#item(hit)));
      fill(this.status, t('hits', { n: this.#count, more: Boolean(answer.cursor) }), answer.suggestion && this.#suggestion(answer.suggestion));
      fill(this.more, answer.cursor && h('button', {
        type: 'button', class: 'secondary', onclick: () => void this.#search(answer.cursor),
      }, t('moreHits')));
    } catch (err) {
      if (running.signal.aborted) return;
      fill(this.status, explain(err), ' ', h('button', { type: 'button', class: 'link', onclick: () => void this.#search(cursor) }, t('tryAgain')));
    }
  }

  /** @param {string} other what was perhaps meant */
  #suggestion(other) {
    return h('span', {}, ' ', t('didYouMean'), ' ', h('button', {
      type: 'button', class: 'link suggestion', onclick: () => {
        this.input.value = other;
        void this.#search();
        this.input.focus();
      },
    }, other));
  }

  /** @param {import('./api.js').Hit} hit */
  #item(hit) {
    const room = this.#rooms.get(hit.room);
    const { text, ranges } = excerpt(hit.text, hit.highlights);
    const name = hit.user === this.#rooms.me.id ? t('you') : hit.nickname || t('someone');
    return h('li', {}, h('button', { type: 'button', class: 'hit', onclick: () => this.#onhit(hit) },
      avatar(hit.user, hit.nickname || '?'),
      h('span', { class: 'name' }, name, room && h('span', { class: 'in' }, ` · ${this.#rooms.title(room)}`)),
      h('time', { datetime: hit.time, title: fully(hit.time) }, briefly(hit.time)),
      h('span', { class: 'text', dir: 'auto' }, pieces(text, ranges).map((piece) => (piece.marked ? h('mark', {}, piece.text) : piece.text)))));
  }
}

// @ts-check
import { fill, framed, h } from './dom.js';
import { t } from './settings.js';

const quiet = h('div', { class: 'hidden-visually', role: 'status', 'aria-live': 'polite' });
const toast = h('div', { class: 'toast', role: 'status', 'aria-live': 'polite' });
/** @type {ReturnType<typeof setTimeout> | undefined} */ let toastTimer;

/** Where announcements appear; part of the page from the beginning, or they are not read out. */
export const announcements = h('div', {}, quiet, toast);

const MAX_SPOKEN = 3; // at once
/** @type {string[]} */ let waiting = [];
const speak = framed(() => {
  quiet.append(...waiting.map((text) => h('p', {}, text)));
  waiting = [];
  while (quiet.childElementCount > MAX_SPOKEN) quiet.firstElementChild?.remove();
});

/** Tells screen readers; and everybody, when visible. @param {string} text @param {boolean} [visible] */
export function announce(text, visible = false) {
  if (!visible) {
    waiting = [...waiting, text].slice(-MAX_SPOKEN); // of a flood only the end is worth hearing
    speak();
    return;
  }
  fill(toast, h('p', {}, text));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => fill(toast), 2500);
}

/** What a failure means to the user. @param {unknown} err @param {Record<number, string>} [special] by status */
export function explain(err, special = {}) {
  const { status = -1, type = '', detail = '' } = /** @type {any} */ (err) ?? {};
  if (special[status]) return special[status];
  const reason = /\/problems\/([^/]+\/[^/]+)$/.exec(type)?.[1];
  if (reason && t(reason)) return t(reason);
  switch (status) {
    case 0: return t('unreachable');
    case 403: return t('notAllowed');
    case 404: return t('notFound');
    case 400:
    case 413:
    case 422: return t('invalid', detail);
    case 429: return t('tooMany');
    case 503: return t('unavailable');
  }
  return t('somethingWrong');
}

const PATIENCE = 600; // a connection that takes no longer needs no words

/** The state of the connection, shown while it is not open. */
export class ConnectionBanner {
  #client;
  #listeners = new AbortController();
  /** @type {number | undefined} */ #retryAt;
  /** @type {ReturnType<typeof setInterval>} */ #timer;
  #since = Date.now();
  #lost = false;

  /** @param {import('./knatter.js').Client} client */
  constructor(client) {
    this.#client = client;
    this.root = h('div', { class: 'banner', role: 'status', hidden: true });
    const { signal } = this.#listeners;
    client.addEventListener('state', (e) => {
      const { state, retryAt } = /** @type {CustomEvent} */ (e).detail;
      this.#retryAt = retryAt;
      if (state === 'open') {
        if (this.#lost) announce(t('backOnline'), true);
        this.#lost = false;
      } else if (state === 'waiting' && !this.#lost) {
        this.#lost = true;
        this.#since = Date.now();
      }
      this.#draw();
    }, { signal });
    window.addEventListener('offline', () => void client.check(), { signal });
    window.addEventListener('online', () => void client.check(), { signal });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void client.check();
    }, { signal });
    this.#timer = setInterval(() => this.#draw(), 500);
  }

  close() {
    this.#listeners.abort();
    clearInterval(this.#timer);
  }

  #draw() {
    const { state } = this.#client;
    const hidden = state === 'open' || state === 'closed' || Date.now() - this.#since < PATIENCE;
    const seconds = Math.max(0, Math.ceil(((this.#retryAt ?? 0) - Date.now()) / 1000));
    const text = !navigator.onLine ? t('offline') : this.#lost ? t('reconnecting', state === 'waiting' ? seconds : 0) : t('connecting');
    this.root.hidden = hidden;
    const drawn = hidden ? '' : `${text}${state}`;
    if (this.root.dataset.drawn === drawn) return;
    this.root.dataset.drawn = drawn;
    fill(this.root, !hidden && [
      // Screen readers hear that it is lost, not each second of the countdown.
      h('span', { 'aria-hidden': seconds > 0 ? 'true' : undefined }, text),
      state === 'waiting' && h('button', { type: 'button', class: 'link', onclick: () => this.#client.connect() }, t('reconnectNow')),
    ]);
  }
}

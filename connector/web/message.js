// @ts-check
import { avatar } from './avatar.js';
import { clock, dayName, dayOf, fully } from './calendar.js';
import { h } from './dom.js';
import { pieces } from './highlights.js';
import { icon } from './icons.js';
import { t } from './settings.js';
import { explain } from './status.js';

/**
 * @typedef {import('./timeline.js').Entry} Entry
 * @typedef {import('./scroller.js').Row & {kind: 'message' | 'day' | 'unread' | 'start',
 *   message?: Entry, mine?: boolean, first?: boolean, nickname?: string, time?: string,
 *   highlights?: [number, number][]}} MessageRow
 */

const TOGETHER = 5 * 60_000; // messages of one person within this share a heading

/** @param {Entry} message */
export function keyOf({ user, id }) {
  return `m/${user}/${id}`;
}

/**
 * The rows of a conversation: messages with day and unread marks between them.
 * @param {{entries: Entry[], pending: Entry[], moreBefore: boolean, me: string, unreadAfter?: string,
 *   nickname: (user: string) => string | undefined,
 *   found?: {sequence: string, highlights: [number, number][]}}} view
 * @returns {MessageRow[]}
 */
export function rowsOf({ entries, pending, moreBefore, me, unreadAfter, nickname, found }) {
  /** @type {MessageRow[]} */
  const rows = [];
  if (!moreBefore && entries.length) rows.push({ kind: 'start', key: 'start', version: 0, anchor: false });
  let day = '';
  let marked = !unreadAfter;
  /** @type {Entry | undefined} */
  let previous;
  for (const message of [...entries, ...pending]) {
    const today = dayOf(message.time);
    if (today !== day) {
      rows.push({ kind: 'day', key: `d/${today}`, version: today, time: message.time, anchor: false });
      day = today;
      previous = undefined;
    }
    const mine = message.user === me;
    if (!marked && !mine && message.sequence > (unreadAfter ?? '')) {
      rows.push({ kind: 'unread', key: 'unread', version: 0, anchor: false });
      marked = true;
      previous = undefined;
    }
    const first = !previous || previous.user !== message.user ||
      Date.parse(message.time) - Date.parse(previous.time) > TOGETHER;
    const name = nickname(message.user) ?? (message.nickname || undefined);
    const highlights = found?.sequence && found.sequence === message.sequence ? found.highlights : undefined;
    rows.push({
      kind: 'message', key: keyOf(message), message, mine, first, nickname: name, highlights,
      version: [message.state, JSON.stringify(message), first, name, highlights ? 1 : 0].join('\n'),
    });
    previous = message;
  }
  return rows;
}

/**
 * @param {MessageRow} row
 * @param {{retry: (message: Entry) => void, discard: (message: Entry) => void}} actions
 */
export function renderRow(row, actions) {
  switch (row.kind) {
    case 'day':
      return h('li', { class: 'row mark day' }, h('span', {}, dayName(row.time ?? '')));
    case 'unread':
      return h('li', { class: 'row mark unread' }, h('span', {}, t('newMessages')));
    case 'start':
      return h('li', { class: 'row mark start' }, h('span', {}, t('beginning')));
  }
  return renderMessage(row, actions);
}

/** @param {MessageRow} row @param {Parameters<typeof renderRow>[1]} actions */
function renderMessage({ message, mine, first, nickname = t('someone'), highlights }, actions) {
  if (!message) throw new TypeError('a message row without a message');
  const { state } = message;
  const who = mine ? t('you') : nickname;
  return h('li', { class: `row message ${mine ? 'mine' : 'theirs'} ${first ? 'first' : ''} ${state ?? ''} ${highlights ? 'found' : ''}` },
    !mine && first && avatar(message.user, nickname),
    h('div', { class: 'body' },
      h('p', { class: first && !mine ? 'who' : 'hidden-visually' }, who),
      message.quoted && quotation(message.quoted),
      h('div', { class: 'line' },
        message.deleted
          ? h('p', { class: 'text gone' }, t('deleted'))
          : h('p', { class: 'text', dir: 'auto' }, pieces(message.text, highlights ?? []).map((piece) =>
            piece.marked ? h('mark', {}, piece.text) : piece.text)),
        h('span', { class: 'when' },
          message.pinned && h('span', { title: t('pinned') }, icon('pin'), h('span', { class: 'hidden-visually' }, t('pinned'))),
          message.editedTime && h('span', { class: 'edited', title: fully(message.editedTime) }, t('edited')),
          h('time', { datetime: message.time, title: fully(message.time) }, clock(message.time)),
          mine && delivery(state))),
      message.reactions && reactions(message.reactions),
      state === 'failed' && h('p', { class: 'trouble' },
        icon('alert'), h('span', {}, `${t('failed')}. ${explain(message.problem)}`),
        h('button', { type: 'button', class: 'link', onclick: () => actions.retry(message) }, t('retry')),
        h('button', { type: 'button', class: 'link', onclick: () => actions.discard(message) }, t('discard')))));
}

/** What a message replies to. @param {import('./api.js').Quoted} quoted */
function quotation({ nickname, text, deleted }) {
  return h('blockquote', { class: 'quoted' },
    h('p', { class: 'who' }, nickname || t('someone')),
    h('p', { class: deleted ? 'gone' : '', dir: 'auto' }, deleted ? t('deleted') : text));
}

/** @param {import('./api.js').Reaction[]} list */
function reactions(list) {
  return h('ul', { class: 'reactions', role: 'list' }, list.map(({ emoji, count, mine }) => {
    const name = t('reaction', { emoji, count });
    return h('li', { class: mine ? 'mine' : '', title: name },
      h('span', { 'aria-hidden': 'true' }, `${emoji} ${count}`), h('span', { class: 'hidden-visually' }, name));
  }));
}

/** @param {Entry['state']} state */
function delivery(state) {
  if (state === 'failed') return undefined; // said below the message
  const name = state === 'sending' ? t('sending') : t('sent');
  return h('span', { class: 'delivery', title: name },
    icon(state === 'sending' ? 'clock' : 'check'), h('span', { class: 'hidden-visually' }, name));
}

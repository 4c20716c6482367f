// The parts of the web client that need neither server nor browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { excerpt, pieces } from '../../connector/web/highlights.js';
import { Fold, newID, nextSequence } from '../../connector/web/knatter.js';
import { Session } from '../../connector/web/session.js';
import { LANGUAGES } from '../../connector/web/strings.js';
import { Timeline } from '../../connector/web/timeline.js';

const seq = (n) => String(n).padStart(16, '0');
const message = (n, more = {}) => ({ sequence: seq(n), id: `id${n}`, user: 'u', nickname: 'U', text: `text ${n}`, time: '2026-01-01T00:00:00.000Z', ...more });

test('ids are UUIDs of version 7 that sort by time', () => {
  assert.match(newID(), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(newID(1_700_000_000_000) < newID(1_700_000_000_001));
  assert.equal(new Set(Array.from({ length: 1000 }, () => newID())).size, 1000);
});

test('the next sequence keeps its 16 digits', () => {
  assert.equal(nextSequence(seq(9)), seq(10));
  assert.equal(nextSequence('0562949953421311'), '0562949953421312');
});

test('highlights are UTF-16 ranges, and what is not sound is not marked', () => {
  const text = '👩‍💻 회의록을 공유';
  const start = text.indexOf('회의');
  assert.deepEqual(pieces(text, [[start, start + 2]]), [
    { text: '👩‍💻 ', marked: false }, { text: '회의', marked: true }, { text: '록을 공유', marked: false },
  ]);
  assert.deepEqual(pieces('abc', [[2, 1], [0, 9], [1, 2], [0, 2]]).map((p) => p.text), ['a', 'b', 'c']);
  assert.deepEqual(pieces('<b>', []), [{ text: '<b>', marked: false }]);
});

test('a long text is shown around its first highlight, never with half a character', () => {
  const text = '😀'.repeat(100) + '회의록' + '😀'.repeat(100);
  const at = text.indexOf('회의록');
  const cut = excerpt(text, [[at, at + 3]], 80, 21);
  assert.equal(cut.text.slice(...cut.ranges[0]), '회의록');
  assert.ok(cut.text.isWellFormed());
  assert.ok(cut.text.startsWith('…😀') && cut.text.endsWith('😀…'));
  assert.deepEqual(excerpt('short', [[0, 2]]), { text: 'short', ranges: [[0, 2]] });
});

test('both languages have the same strings', () => {
  assert.deepEqual(Object.keys(LANGUAGES.ko), Object.keys(LANGUAGES.en));
  for (const key of Object.keys(LANGUAGES.en)) assert.equal(typeof LANGUAGES.ko[key], typeof LANGUAGES.en[key], key);
});

test('each reason of a problem that the contract lists is explained in both languages', () => {
  const contract = readFileSync(new URL('../../connector/api/openapi.yaml', import.meta.url), 'utf8');
  const reasons = new Set([...contract.matchAll(/`([a-z-]+\/[a-z-]+)`/g)].map(([, reason]) => reason));
  assert.ok(reasons.has('invalid/nickname-invisible') && reasons.size > 10);
  assert.deepEqual([...reasons].sort(), Object.keys(LANGUAGES.en).filter((key) => key.includes('/')).sort());
  for (const reason of reasons) assert.match(/** @type {string} */ (LANGUAGES.ko[reason]), /^[^A-Za-z]+$/);
});

/** A room's history that pages as the server does. */
function history(count) {
  const all = Array.from({ length: count }, (_, i) => message(i + 1));
  const load = async ({ before, after, limit }) => {
    const range = all.filter((m) => (!before || m.sequence < before) && (!after || m.sequence > after));
    const messages = after ? range.slice(0, limit) : range.slice(-limit);
    return { messages, more: range.length > limit };
  };
  return { all, load };
}

test('a timeline pages back to the beginning, in order and without gaps', async () => {
  const { all, load } = history(500);
  const timeline = new Timeline(load, () => {});
  await timeline.latest();
  while (timeline.moreBefore) await timeline.older();
  assert.deepEqual(timeline.entries.map((m) => m.sequence), all.map((m) => m.sequence));
});

test('a timeline in the past keeps live messages aside and joins up with them', async () => {
  const { all, load } = history(500);
  const timeline = new Timeline(load, () => {});
  await timeline.around(seq(100));
  assert.ok(timeline.moreAfter && timeline.moreBefore);
  for (let n = 501; n <= 1200; n++) { // more than it keeps aside
    all.push(message(n));
    timeline.arrive(message(n));
  }
  assert.ok(timeline.entries.every((m) => m.sequence <= seq(200)));
  while (timeline.moreAfter) await timeline.newer();
  while (timeline.moreBefore) await timeline.older();
  assert.deepEqual(timeline.entries.map((m) => m.sequence), all.map((m) => m.sequence));
});

test('live messages that arrive while the newest page is on its way are not lost', async () => {
  const { all, load } = history(10);
  let release;
  const gate = new Promise((resolve) => (release = resolve));
  const timeline = new Timeline(async (range) => {
    const page = await load(range);
    await gate;
    return page;
  }, () => {});
  const moving = timeline.latest();
  all.push(message(11));
  timeline.arrive(message(11));
  release();
  await moving;
  assert.deepEqual(timeline.entries.map((m) => m.sequence), all.map((m) => m.sequence));
});

test('an own message is shown once, whether its ack or its event comes first', async () => {
  for (const ackFirst of [true, false]) {
    const timeline = new Timeline(history(3).load, () => {});
    await timeline.latest();
    const mine = message(0, { sequence: '', id: 'mine' });
    timeline.post(mine);
    assert.equal(timeline.pending[0].state, 'sending');
    const event = message(7, { id: 'mine' });
    if (ackFirst) timeline.acknowledge(mine, seq(7));
    timeline.arrive(message(5));
    timeline.arrive(event);
    if (!ackFirst) timeline.acknowledge(mine, seq(7));
    assert.deepEqual(timeline.entries.map((m) => m.sequence), [1, 2, 3, 5, 7].map(seq));
    assert.deepEqual(timeline.pending, []);
    assert.equal(timeline.entries.at(-1).state, undefined);
    timeline.arrive(message(9, { id: 'mine' })); // a resent record
    assert.equal(timeline.entries.length, 5);
  }
});

test('tabs that need a token at once spend one refresh token', async () => {
  const items = new Map();
  const storage = { getItem: (k) => items.get(k) ?? null, setItem: (k, v) => items.set(k, v), removeItem: (k) => items.delete(k) };
  let last = Promise.resolve();
  const locks = { request: (_, work) => (last = last.then(work, work)) };
  let refreshes = 0;
  const fetch = async (_, { body }) => {
    refreshes++;
    assert.equal(JSON.parse(body).refreshToken, 'r0');
    return Response.json({ accessToken: 'a1', refreshToken: 'r1', expiresIn: 900, user: { id: 'u', nickname: 'U' } });
  };
  storage.setItem('knatter.session', JSON.stringify({ accessToken: 'a0', refreshToken: 'r0', expires: 0, user: { id: 'u' } }));
  const tabs = [0, 1, 2].map(() => new Session({ origin: 'http://x', storage, locks, fetch }));
  const tokens = await Promise.all(tabs.map((tab) => tab.token()));
  assert.deepEqual(tokens.map((t) => t.accessToken), ['a1', 'a1', 'a1']);
  assert.equal(refreshes, 1);
  await assert.doesNotReject(tabs[0].token('a0')); // refused elsewhere before: already replaced
  assert.equal(refreshes, 1);
});

const event = (n, type, user, data) => ({
  specversion: '1.0', id: `e${n}`, source: `/users/${user}`, type: `dev.knatter.${type}`, subject: 'room', time: '2026-01-01T00:00:01.000Z', sequence: seq(n), data,
});

test('a fold has each message as its events leave it', () => {
  const fold = new Fold('u');
  fold.load([message(1), message(2)], seq(3));
  const about = { message: seq(1) };
  fold.apply(event(3, 'message.edited', 'u', { ...about, text: 'is in the page' }));
  assert.equal(fold.message(seq(1)).text, 'text 1');
  fold.apply(event(4, 'message.posted', 'v', { text: 'yes', replyTo: seq(1) }));
  fold.apply(event(5, 'message.edited', 'u', { ...about, text: 'edited' }));
  assert.deepEqual(fold.message(seq(4)).quoted, { user: 'u', nickname: 'U', text: 'edited' });
  for (const [n, emoji, user] of [[6, '👍', 'v'], [7, '❤️', 'u'], [8, '👍', 'u'], [9, '👍', 'u']]) {
    fold.apply(event(n, 'reaction.added', user, { ...about, emoji }));
  }
  assert.deepEqual(fold.message(seq(1)).reactions, [
    { emoji: '👍', count: 2, users: ['v', 'u'], added: [seq(6), seq(8)], mine: true },
    { emoji: '❤️', count: 1, users: ['u'], added: [seq(7)], mine: true },
  ]);
  fold.apply(event(10, 'reaction.removed', 'v', { ...about, emoji: '👍' })); // the first that stands is later now
  assert.deepEqual(fold.message(seq(1)).reactions.map((r) => r.emoji), ['❤️', '👍']);
  fold.apply(event(11, 'message.pinned', 'u', about));
  assert.equal(fold.message(seq(1)).pinned, true);
  fold.apply(event(12, 'member.updated', 'u', { user: 'u', nickname: 'W', role: 'member', changed: 'nickname' }));
  assert.equal(fold.message(seq(4)).quoted.nickname, 'W');
  fold.apply(event(13, 'message.deleted', 'u', about));
  fold.apply(event(14, 'reaction.added', 'v', { ...about, emoji: '👍' }));
  assert.deepEqual(fold.message(seq(1)), {
    sequence: seq(1), id: 'id1', user: 'u', nickname: 'W', text: '', time: '2026-01-01T00:00:00.000Z', deleted: true, at: seq(13),
  });
  assert.deepEqual(fold.message(seq(4)).quoted, { user: 'u', nickname: 'W', text: '', deleted: true });
});

test('a page that was under way while something happened gets it', () => {
  const fold = new Fold('u');
  fold.apply(event(5, 'message.edited', 'u', { message: seq(1), text: 'edited' }));
  fold.load([message(1)], seq(4));
  assert.equal(fold.message(seq(1)).text, 'edited');
  fold.load([message(1, { text: 'old' })], seq(3)); // an answer that was overtaken
  assert.equal(fold.message(seq(1)).text, 'edited');
});

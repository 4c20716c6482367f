// The client module by itself, in Node, against a real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { API } from '../../connector/web/api.js';
import { Client, newID, PREFIX, Problem, Session } from '../../connector/web/knatter.js';
import { Cable, Server } from './server.js';

let server;
before(async () => (server = await Server.start()));
after(() => server?.close());

const clients = [];
after(() => clients.forEach((client) => client.close()));

/** Someone with an account; their session, HTTP interface, and a client through `origin`. */
async function person(nickname, origin = server.origin) {
  const session = new Session({ origin });
  await session.signUp({ email: `${newID()}@example.com`, password: 'correct horse battery', nickname });
  const client = new Client({ origin, token: (stale) => session.token(stale), WebSocket });
  clients.push(client);
  const seen = [];
  client.addEventListener('event', ({ detail }) => seen.push(detail));
  return { session, api: new API(session), client, seen, texts: () => seen.filter(posted).map((e) => e.data.text) };
}

const posted = ({ type }) => type === `${PREFIX}message.posted`;

async function until(what, condition, seconds = 15) {
  for (const deadline = Date.now() + seconds * 1000; !(await condition()); ) {
    if (Date.now() > deadline) assert.fail(`in ${seconds} s never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const numbered = (n, from = 0) => Array.from({ length: n }, (_, i) => `message ${from + i}`);

test('a message is acknowledged, delivered to everybody once, and kept under its first id', async () => {
  const alice = await person('alice');
  const bob = await person('bob');
  const { id: room } = await alice.api.createRoom('one');
  await bob.api.join(room);
  for (const who of [alice, bob]) who.client.connect();
  await Promise.all([alice, bob].map((who) => who.client.subscribe(room)));

  const id = newID();
  const sequence = await alice.client.send('message.posted', room, { text: '안녕하세요' }, id);
  assert.match(sequence, /^\d{16}$/);
  await until('both see it', () => alice.texts().length && bob.texts().length);
  assert.equal(bob.seen.find(posted).source, `/users/${alice.session.user.id}`);

  await alice.client.send('message.posted', room, { text: '안녕하세요' }, id); // as after a lost ack
  await alice.client.send('message.posted', room, { text: 'next' });
  await until('the next one', () => bob.texts().includes('next'));
  assert.deepEqual(bob.texts(), ['안녕하세요', 'next']);
  const { messages } = await bob.api.messages(room, { limit: 10 });
  assert.deepEqual(messages.map((m) => [m.text, m.sequence === sequence]), [['안녕하세요', true], ['next', false]]);
});

test('a refusal rejects the send with its problem', async () => {
  const alice = await person('alice');
  alice.client.connect();
  await assert.rejects(alice.client.send('message.posted', 'not-my-room', { text: 'x' }),
    (err) => err instanceof Problem && err.status === 403);
  const { id: room } = await alice.api.createRoom('one');
  await assert.rejects(alice.client.send('message.posted', room, { text: 'x'.repeat(4001) }), { status: 422 });
});

test('what is missed while away comes on return, in order, once; what was written is sent', async () => {
  const cable = await Cable.to(server.port);
  const alice = await person('alice');
  const bob = await person('bob', cable.origin);
  const { id: room } = await alice.api.createRoom('one');
  await bob.api.join(room);
  for (const who of [alice, bob]) {
    who.client.subscribeAll();
    who.client.connect();
  }
  await Promise.all([alice, bob].map((who) => who.client.subscribe(room)));
  await alice.client.send('message.posted', room, { text: 'before' });
  await until('bob sees it', () => bob.texts().includes('before'));

  cable.pull();
  await until('bob notices', () => bob.client.state === 'waiting');
  const missed = numbered(50);
  await Promise.all(missed.map((text) => alice.client.send('message.posted', room, { text })));
  const sent = bob.client.send('message.posted', room, { text: 'from the train' });
  cable.plug();
  bob.client.connect();
  await sent;
  await until('bob has all', () => bob.texts().length === 52);
  assert.deepEqual(bob.texts().slice(0, 51), ['before', ...missed]);
  assert.deepEqual(bob.seen.map((e) => e.sequence), bob.seen.map((e) => e.sequence).sort());
  cable.close();
});

test('more than the server replays is paged, without gaps, also while others go on writing', async () => {
  const cable = await Cable.to(server.port);
  const bob = await person('bob', cable.origin);
  const writers = await Promise.all(['w0', 'w1', 'w2'].map((name) => person(name)));
  const { id: room } = await writers[0].api.createRoom('busy');
  for (const who of [bob, ...writers.slice(1)]) await who.api.join(room);
  for (const writer of writers) writer.client.connect();
  bob.client.connect();
  await bob.client.subscribe(room);
  cable.pull();
  await until('bob notices', () => bob.client.state === 'waiting');
  const write = (from, n) => Promise.all(writers.map((w, i) => Promise.all(
    numbered(n, from).map((text) => w.client.send('message.posted', room, { text: `w${i} ${text}` })))));
  await write(0, 420);
  await write(420, 380); // 2,400 in all
  cable.plug();
  bob.client.connect();
  await write(800, 20); // while bob pages
  await until('bob has all', () => bob.texts().length === 2460, 30);
  const { messages } = await bob.api.messages(room, { limit: 200 });
  assert.deepEqual(bob.texts().slice(-200), messages.map((m) => m.text));
  assert.equal(new Set(bob.texts()).size, 2460);
  assert.deepEqual(bob.seen.map((e) => e.sequence), bob.seen.map((e) => e.sequence).sort());
  cable.close();
});

test('a room joined later is followed', async () => {
  const alice = await person('alice');
  const bob = await person('bob');
  bob.client.subscribeAll();
  bob.client.connect();
  await until('bob is there', () => bob.client.state === 'open');
  const { id: room } = await alice.api.createRoom('later');
  const followed = new Promise((resolve) => bob.client.addEventListener('subscribed', resolve, { once: true }));
  await bob.api.join(room);
  assert.equal((await followed).detail.room, room);
  alice.client.connect();
  await alice.client.send('message.posted', room, { text: 'welcome' });
  await until('bob sees it', () => bob.texts().includes('welcome'));
});

test('logging out ends the client; a refresh token is good for one use', async () => {
  const alice = await person('alice');
  const other = new Client({ origin: server.origin, token: (stale) => alice.session.token(stale), WebSocket });
  clients.push(other);
  for (const client of [alice.client, other]) client.connect();
  await until('both are there', () => alice.client.state === 'open' && other.state === 'open');
  const { accessToken } = await alice.session.token();
  await new Promise((resolve) => setTimeout(resolve, 1000)); // tokens of one second are alike
  const fresh = await alice.session.token(accessToken);
  assert.notEqual(fresh.accessToken, accessToken);
  const ended = new Promise((resolve) => other.addEventListener('closed', resolve, { once: true }));
  await alice.session.logout();
  assert.equal((await ended).detail.code, 4401);
  await assert.rejects(alice.session.token(), { status: 401 });
});

test('a crash of the server loses nothing that was acknowledged', async () => {
  const alice = await person('alice');
  const bob = await person('bob');
  const { id: room } = await alice.api.createRoom('one');
  await bob.api.join(room);
  for (const who of [alice, bob]) who.client.connect();
  await Promise.all([alice, bob].map((who) => who.client.subscribe(room)));
  const texts = numbered(300);
  const sends = texts.map((text) => alice.client.send('message.posted', room, { text }));
  await sends[20];
  await server.stop();
  await server.run();
  await Promise.all(sends);
  await until('bob has all', () => bob.texts().length >= 300);
  assert.deepEqual([...bob.texts()].sort(), [...texts].sort());
  const { messages } = await alice.api.messages(room, { limit: 200 });
  assert.deepEqual(messages.map((m) => m.text), texts.slice(100));
});

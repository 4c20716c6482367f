// What happens to messages, as the page shows it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Client, Session } from '../../connector/web/knatter.js';
import { browser, Person } from './people.js';
import { Server } from './server.js';

const artifacts = fileURLToPath(new URL('artifacts/', import.meta.url));
let server;

before(async () => {
  mkdirSync(artifacts, { recursive: true });
  server = await Server.start();
});

after(async () => {
  await browser.close();
  await server?.close();
});

test('messages are shown as they are now, live and after a reload', { timeout: 120_000 }, async () => {
  const alice = await Person.at(server.origin, 'Alice');
  await alice.signsUp();
  const code = await alice.creates('Plans');
  const session = new Session({ origin: server.origin });
  await session.signUp({ email: 'program@example.com', password: 'correct horse battery', nickname: 'Program' });
  const { accessToken } = await session.token();
  const joined = await fetch(`${server.origin}/v1/rooms/${code}/members`, {
    method: 'POST', headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' }, body: '{}',
  });
  assert.equal(joined.status, 201);
  const client = new Client({ origin: server.origin, token: (stale) => session.token(stale), WebSocket });
  client.connect();
  await alice.page.getByRole('textbox', { name: 'Plans' }).fill('Lunch at twelve?');
  await alice.page.keyboard.press('Enter');

  const lunch = (await (await fetch(`${server.origin}/v1/rooms/${code}/messages`, {
    headers: { authorization: `Bearer ${accessToken}` },
  })).json()).messages[0];
  const first = await client.send('message.posted', code, { text: 'Twelve is fine' });
  const gone = await client.send('message.posted', code, { text: 'a secret' });
  await client.send('message.posted', code, { text: 'See you there', replyTo: lunch.sequence });
  const { page } = alice;
  const text = (said) => page.locator('.message .text').getByText(said, { exact: true });
  await text('a secret').waitFor();
  await client.send('message.edited', code, { message: first, text: 'One is better' });
  await client.send('message.deleted', code, { message: gone });
  for (const emoji of ['👍', '❤️']) await client.send('reaction.added', code, { message: lunch.sequence, emoji });
  await client.send('reaction.added', code, { message: first, emoji: '👍' });
  await client.send('reaction.removed', code, { message: first, emoji: '👍' });

  const shown = async () => {
    await text('One is better').waitFor();
    await page.locator('.message .edited').waitFor();
    await text('This message was deleted.').waitFor();
    await page.locator('.message .reactions').getByText('❤️ 1', { exact: true }).waitFor();
    await page.locator('.quoted').getByText('Lunch at twelve?').waitFor();
    assert.equal(await text('Twelve is fine').count(), 0);
    assert.equal(await text('a secret').count(), 0);
    assert.equal(await page.locator('.reactions').count(), 1);
  };
  await shown();
  await page.screenshot({ path: `${artifacts}life-desktop.png` });
  await alice.findsAccessible('messages with a life');
  await page.reload();
  await shown();
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: `${artifacts}life-phone.png` });
  client.close();
  await alice.leaves();
});

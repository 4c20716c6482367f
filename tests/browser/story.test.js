// What people do with the chat, in real browsers, from signing up to finding an
// old message. The steps build on each other.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { API } from '../../connector/web/api.js';
import { Client, newID, Session } from '../../connector/web/knatter.js';
import { browser, exactly, Person } from './people.js';
import { Cable, Server } from './server.js';

const artifacts = fileURLToPath(new URL('artifacts/', import.meta.url));
const readme = fileURLToPath(new URL('../../.github/screenshot.png', import.meta.url));
const XSS = '<img src=x onerror="document.title=\'owned\'"><script>alert(1)</script> & <b>bold</b>';

let server, cable, alice, bob, code;

before(async () => {
  mkdirSync(artifacts, { recursive: true });
  server = await Server.start();
  cable = await Cable.to(server.port);
});

after(async () => {
  await browser.close();
  cable?.close();
  await server?.close();
});

const picture = (person, name) => person.page.screenshot({ path: `${artifacts}${name}.png` });

test('a day in the chat', { timeout: 300_000 }, async (t) => {
  /** The steps depend on each other: after a failure the rest says nothing. */
  let failed = false;
  const step = async (name, work) => {
    if (failed) return t.test(name, { skip: 'an earlier step failed' }, () => {});
    await t.test(name, async () => {
      try {
        await work();
      } catch (err) {
        failed = true;
        for (const [who, person] of Object.entries({ alice, bob })) {
          if (person) await picture(person, `failed-${who}`).catch(() => {});
        }
        throw err;
      }
    });
  };

  await step('two people sign up', async () => {
    alice = await Person.at(server.origin, '김민지', { locale: 'en-US' });
    await picture(alice, 'sign-up');
    await alice.findsAccessible('sign-up');
    await alice.signsUp();
    bob = await Person.at(cable.origin, 'Bob', { locale: 'en-US' });
    await bob.signsUp();
  });

  await step('a wrong password is refused without saying why', async () => {
    const carol = await Person.at(server.origin, 'Carol');
    await carol.page.getByRole('button', { name: 'Already have an account? Log in' }).click();
    await carol.page.getByLabel('Email').fill(alice.email);
    await carol.page.getByLabel('Password').fill('not the password');
    await carol.page.getByRole('button', { name: 'Log in', exact: true }).click();
    await carol.page.getByRole('alert').filter({ hasText: 'The email address or the password is wrong.' }).waitFor();
    await carol.leaves();
  });

  await step('a name that cannot be is explained, in the language of the page', async () => {
    const REFUSED = {
      'en-US': {
        signUp: 'Sign up', nickname: 'Nickname', email: 'Email', password: 'Password',
        newChat: 'New chat', name: 'Name of the room', create: 'Create', settings: 'Settings', save: 'Save',
        nicknames: {
          ' ': 'Enter a nickname.',
          '\u3164': 'A nickname needs something to see: a letter, a number, a sign or an emoji.',
          'a\u202eb': 'A nickname cannot have line breaks or control characters.',
          ['가'.repeat(33)]: 'A nickname can have at most 32 characters.',
        },
        names: {
          ' ': 'Enter a name for the room.',
          '\u2800': 'The name of a room needs something to see: a letter, a number, a sign or an emoji.',
          'a\u2028b': 'The name of a room cannot have line breaks or control characters.',
          ['a'.repeat(101)]: 'The name of a room can have at most 100 characters.',
        },
      },
      'ko-KR': {
        signUp: '가입하기', nickname: '닉네임', email: '이메일', password: '비밀번호',
        newChat: '새 대화', name: '대화방 이름', create: '만들기', settings: '설정', save: '저장',
        nicknames: {
          ' ': '닉네임을 입력해 주세요.',
          '\u3164': '닉네임에는 눈에 보이는 글자, 숫자, 기호나 이모지가 있어야 합니다.',
          'a\u202eb': '닉네임에는 줄바꿈이나 제어 문자를 쓸 수 없습니다.',
          ['가'.repeat(33)]: '닉네임은 32자까지 쓸 수 있습니다.',
        },
        names: {
          ' ': '대화방 이름을 입력해 주세요.',
          '\u2800': '대화방 이름에는 눈에 보이는 글자, 숫자, 기호나 이모지가 있어야 합니다.',
          'a\u2028b': '대화방 이름에는 줄바꿈이나 제어 문자를 쓸 수 없습니다.',
          ['a'.repeat(101)]: '대화방 이름은 100자까지 쓸 수 있습니다.',
        },
      },
    };
    for (const [locale, words] of Object.entries(REFUSED)) {
      const carol = await Person.at(server.origin, 'Carol', { locale });
      const { page } = carol;
      const refuses = async (label, button, explanations) => {
        for (const [name, explanation] of Object.entries(explanations)) {
          await page.getByLabel(label).and(page.getByRole('textbox')).fill(name);
          await page.getByRole('button', { name: button, exact: true }).click();
          await page.getByRole('alert').filter({ hasText: exactly(explanation) }).waitFor();
        }
      };
      await page.getByLabel(words.email).fill(carol.email);
      await page.getByLabel(words.password).fill(carol.password);
      await refuses(words.nickname, words.signUp, words.nicknames);
      await page.getByLabel(words.password).fill('password1');
      await page.getByLabel(words.nickname).fill('😀'.repeat(32)); // so many characters are fine
      await page.getByRole('button', { name: words.signUp }).click();
      await page.getByRole('alert').filter({ hasText: locale === 'ko-KR' ? '너무 흔한 비밀번호입니다.' : 'Too many people have this password.' }).waitFor();
      await page.getByLabel(words.password).fill(carol.password);
      await page.getByRole('button', { name: words.signUp }).click();
      await page.getByRole('button', { name: words.newChat }).click();
      await refuses(words.name, words.create, words.names);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: words.settings }).click();
      await refuses(words.nickname, words.save, words.nicknames);
      await carol.leaves();
    }
  });

  await step('one creates a room, the other joins by its code', async () => {
    await alice.page.getByText('No rooms yet').waitFor();
    code = await alice.creates('제품 팀');
    await alice.page.getByText('No messages yet').waitFor();
    await bob.joins(code, '제품 팀');
    await alice.page.getByRole('button', { name: '2 members' }).waitFor();
  });

  await step('a wrong code is explained', async () => {
    await bob.page.getByRole('button', { name: 'New chat' }).click();
    await bob.page.getByRole('textbox', { name: 'Room code' }).fill('0000-0000-0000');
    await bob.page.getByRole('button', { name: 'Join', exact: true }).click();
    await bob.page.getByRole('alert').filter({ hasText: 'There is no room with this code.' }).waitFor();
    await bob.page.keyboard.press('Escape');
    await bob.page.locator('dialog').waitFor({ state: 'detached' });
  });

  await step('they write to each other', async () => {
    await alice.sends('안녕하세요! 회의록을 공유해 주세요.');
    await bob.sees('안녕하세요! 회의록을 공유해 주세요.');
    await alice.seesSent('안녕하세요! 회의록을 공유해 주세요.');
    await bob.sends('Hello 민지! Running to get it 👩‍💻');
    await alice.sees('Hello 민지! Running to get it 👩‍💻');
    assert.equal(await alice.message('Hello 민지! Running to get it 👩‍💻').locator('.who').innerText(), 'Bob');
    await alice.page.locator('.mark.day', { hasText: /today/i }).waitFor();
    await bob.page.locator('.room .last', { hasText: 'You: Hello' }).waitFor();
  });

  await step('one sees that the other is typing', async () => {
    const typing = alice.page.locator('.typing');
    const input = bob.page.locator('.composer textarea');
    const typesUntilSeen = async () => {
      while (await typing.innerText() !== 'Bob is typing…') await input.pressSequentially('hm ', { delay: 50 }); // one signal in 2 s
    };
    await typesUntilSeen();
    await picture(alice, 'typing');
    assert.equal(await bob.page.locator('.typing').innerText(), '', 'nobody is told of their own');
    await bob.sends('So it was me');
    await alice.sees('So it was me');
    assert.equal(await typing.innerText(), '', 'the message ends it');
    await typesUntilSeen();
    await input.fill('');
    await typing.filter({ hasNotText: 'Bob' }).waitFor(); // it ends by itself
  });

  await step('text is text', async () => {
    await bob.sends(XSS);
    await alice.sees(XSS);
    await alice.page.locator('.room .last', { hasText: '<script>' }).waitFor();
    assert.equal(await alice.page.locator('.scroller img, .scroller script, .scroller b, .sidebar script').count(), 0);
    assert.doesNotMatch(await alice.page.title(), /owned/);
    await alice.sends('two\nlines');
    await bob.sees('two\nlines');
  });

  await step('the Enter that ends a Korean syllable sends nothing', async () => {
    const { page } = alice;
    const input = page.locator('.composer textarea');
    await input.focus();
    const ime = await alice.context.newCDPSession(page);
    await ime.send('Input.imeSetComposition', { text: '한', selectionStart: 1, selectionEnd: 1 });
    await input.dispatchEvent('keydown', { key: 'Enter', isComposing: true });
    await input.dispatchEvent('keydown', { key: 'Enter', keyCode: 229 });
    await ime.send('Input.insertText', { text: '한글' });
    assert.equal(await input.inputValue(), '한글');
    await input.press('Enter');
    await bob.sees('한글');
    assert.equal(await input.inputValue(), '');
  });

  await step('a message written without connection waits and is sent on return', async () => {
    cable.pull();
    await bob.page.getByText(/Connection lost/).waitFor();
    await picture(bob, 'reconnecting');
    await bob.sends('지하철에서 씀');
    await bob.message('지하철에서 씀').locator('.icon-clock').waitFor();
    await alice.sends('bob, are you there?');
    cable.plug();
    await bob.sees('bob, are you there?');
    await bob.seesSent('지하철에서 씀');
    await alice.sees('지하철에서 씀');
    await bob.page.getByText(/Connection lost/).waitFor({ state: 'hidden' });
  });

  await step('a message that was refused can be sent again', async () => {
    const carol = await Person.at(server.origin, 'Carol');
    let refusals = 1;
    await carol.page.routeWebSocket(/socket/, (socket) => {
      const far = socket.connectToServer();
      socket.onMessage((frame) => {
        const { id, type } = JSON.parse(frame);
        if (type !== 'dev.knatter.message.posted' || refusals-- <= 0) return far.send(frame);
        socket.send(JSON.stringify({
          specversion: '1.0', id: 'x', source: '/connectors/0', type: 'dev.knatter.error',
          data: { event: id, type: 'about:blank', title: 'Temporarily unavailable', status: 503 },
        }));
      });
    });
    await carol.page.reload(); // a route holds for pages that are loaded after it
    await carol.signsUp();
    await carol.creates('Solo');
    await carol.sends('once more');
    await carol.message('once more').getByText('Not sent').waitFor();
    await picture(carol, 'failed');
    await carol.page.getByRole('button', { name: 'Send again' }).click();
    await carol.seesSent('once more');
    await carol.sees('once more');
    await carol.leaves();
  });

  await step('who is removed is out at once, and can be invited again', async () => {
    await alice.page.getByRole('button', { name: '2 members' }).click();
    await alice.page.getByRole('button', { name: 'Remove Bob' }).click();
    await alice.page.getByRole('dialog').getByRole('button', { name: 'Remove Bob' }).click();
    await bob.page.getByText('No rooms yet').waitFor();
    await alice.page.locator('.panel').getByText('Bob').waitFor({ state: 'detached' });
    await bob.page.getByRole('button', { name: 'New chat' }).click();
    await bob.page.getByRole('textbox', { name: 'Room code' }).fill(code);
    await bob.page.getByRole('button', { name: 'Join', exact: true }).click();
    await bob.page.getByRole('alert').filter({ hasText: 'You were removed from this room' }).waitFor();
    await bob.page.keyboard.press('Escape');
    await alice.page.locator('.panel').getByLabel('Email').fill(bob.email);
    await alice.page.getByRole('button', { name: 'Invite' }).click();
    await alice.page.getByText('Bob was asked').waitFor(); // they share no room any more
    await bob.page.reload();
    await bob.page.getByRole('list', { name: 'Invitations' }).getByText('김민지 invites you').waitFor();
    await picture(bob, 'invitation');
    await bob.findsAccessible('invitation');
    await bob.page.getByRole('button', { name: 'Decline the invitation' }).click();
    await bob.page.getByText('김민지 invites you').waitFor({ state: 'detached' });
    await alice.page.locator('.panel').getByLabel('Email').fill(bob.email);
    await alice.page.getByRole('button', { name: 'Invite' }).click();
    await alice.page.getByText('Bob was asked').waitFor();
    await bob.page.reload();
    await bob.page.getByRole('button', { name: 'Accept the invitation' }).click();
    await alice.page.locator('.panel').getByText('Bob').waitFor();
    await picture(alice, 'members');
    await alice.findsAccessible('members');
    await alice.page.keyboard.press('Escape');
    await bob.page.locator('.room', { hasText: '제품 팀' }).click();
    await bob.isIn('제품 팀');
    await bob.sees('한글');
  });

  const seeded = 3000;
  await step('someone writes thousands of messages meanwhile', async () => {
    const writers = await Promise.all(['이서연', '박지훈', '佐藤', 'Eve'].map(async (nickname) => {
      const session = new Session({ origin: server.origin });
      await session.signUp({ email: `${newID()}@example.com`, password: 'correct horse battery', nickname });
      await new API(session).join(code);
      const client = new Client({ origin: server.origin, token: (stale) => session.token(stale), WebSocket });
      client.connect();
      return client;
    }));
    const texts = ['어제 만났어요', '東京都庁で会いましょう', 'The build is green again', '내일 일정을 확인해 주세요', 'Thanks, that helps a lot!'];
    for (let n = 0; n < seeded; n += 1000) {
      await Promise.all(Array.from({ length: 1000 }, (_, i) => writers[i % 4]
        .send('message.posted', code, { text: `${texts[(n + i) % 5]} #${n + i}${i % 50 ? '' : '\n' + '긴 이야기 '.repeat(60)}` })));
    }
    await writers[3].send('message.posted', code, { text: 'that was all' });
    for (const writer of writers) writer.close();
    await bob.sees('that was all');
  });

  await step('scrolling back reaches the first message; only what is near is in the page', async () => {
    const { page } = bob;
    await page.locator('.scroller').hover();
    for (const deadline = Date.now() + 60_000; !(await page.locator('.mark.start').count()); ) {
      assert.ok(Date.now() < deadline, 'the beginning is reached');
      await page.locator('.scroller').evaluate((scroller) => (scroller.scrollTop = 0));
      await page.waitForTimeout(30);
      assert.ok(await page.locator('.row').count() < 120, 'rows in the page');
    }
    await page.locator('.scroller').evaluate((scroller) => (scroller.scrollTop = 0));
    await bob.sees('안녕하세요! 회의록을 공유해 주세요.');
    // Everything was loaded once and in order.
    const step = await page.locator('.scroller').evaluate(async (scroller) => {
      const seen = [];
      for (let last = -1; scroller.scrollTop !== last; ) {
        last = scroller.scrollTop;
        for (const row of document.querySelectorAll('.message .text')) {
          const number = /#(\d+)/.exec(row.textContent)?.[1];
          if (number && !seen.includes(number)) seen.push(number);
        }
        scroller.scrollTop += 500;
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
      }
      return seen.length;
    });
    assert.equal(step, seeded);
    await picture(bob, 'history');
  });

  await step('what one reads keeps its place when something comes below', async () => {
    const { page } = bob;
    await page.locator('.scroller').evaluate((scroller) => (scroller.scrollTop = scroller.scrollHeight / 2));
    await page.waitForTimeout(300);
    const place = () => page.locator('.scroller').evaluate((scroller) => {
      const top = scroller.getBoundingClientRect().top;
      const row = [...document.querySelectorAll('.message')].find((m) => m.getBoundingClientRect().top > top);
      return [row.textContent, Math.round(row.getBoundingClientRect().top)];
    });
    const before = await place();
    await alice.sends('for the end');
    await page.getByRole('button', { name: '1 new message' }).waitFor();
    assert.deepEqual(await place(), before);
    await page.getByRole('button', { name: '1 new message' }).click();
    await bob.sees('for the end');
  });

  await step('search finds inflected forms, marks them, and leads to the place', async () => {
    const { page } = bob;
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    const panel = page.getByRole('complementary', { name: 'Search' });
    await panel.getByRole('searchbox').fill('회의');
    const hit = panel.locator('.hit').filter({ hasText: '회의록을' });
    await hit.waitFor({ timeout: 20_000 }); // the dictionary loads after the start
    assert.equal(await hit.locator('mark').first().innerText(), '회의');
    await hit.click();
    await page.locator('.message.found mark').first().waitFor();
    await page.waitForTimeout(200);
    assert.ok(await page.locator('.message.found').evaluate((row) => {
      const { top, bottom } = row.getBoundingClientRect();
      const port = row.closest('.scroller').getBoundingClientRect();
      return top >= port.top && bottom <= port.bottom;
    }), 'the hit is in view');
    await panel.getByRole('searchbox').fill('만나다');
    await panel.getByText(/30\+ messages found/).waitFor();
    await panel.getByRole('button', { name: 'Show more' }).click();
    await panel.getByText(/60\+ messages found/).waitFor();
    await panel.locator('.hit').nth(45).click();
    await page.locator('.message.found', { hasText: '만났어요' }).waitFor();
  });

  await step('search narrows by room, sender and date', async () => {
    const panel = bob.page.getByRole('complementary', { name: 'Search' });
    await panel.getByLabel('Room', { exact: true }).selectOption({ label: '제품 팀' });
    await panel.getByRole('searchbox').fill('run');
    await panel.getByText('1 message found').waitFor();
    assert.match(await panel.locator('.hit mark').innerText(), /^Run/);
    await panel.getByLabel('From', { exact: true }).selectOption({ label: '김민지' });
    await panel.getByText('Nothing found').waitFor();
    await panel.getByLabel('From', { exact: true }).selectOption({ label: 'Anyone' });
    await panel.getByLabel('Until').fill('2020-01-01');
    await panel.getByText('Nothing found').waitFor();
    await panel.getByLabel('Until').fill('');
    await panel.getByLabel('Since').fill('2020-01-01');
    await panel.getByText('1 message found').waitFor();
  });

  await step('the views can be used by all, in light and dark', async () => {
    for (const colorScheme of ['light', 'dark']) {
      await bob.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await bob.findsAccessible(`search, ${colorScheme}`);
      await picture(bob, `search-${colorScheme}`);
      await alice.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await alice.findsAccessible(`room, ${colorScheme}`);
      await picture(alice, `room-${colorScheme}`);
      const newcomer = await Person.at(server.origin, 'New', { colorScheme });
      await newcomer.findsAccessible(`sign-up, ${colorScheme}`);
      await newcomer.leaves();
    }
    await bob.page.emulateMedia({ colorScheme: 'light' });
    await bob.page.keyboard.press('Escape');
    await bob.page.locator('.panel').waitFor({ state: 'detached' });
  });

  await step('the keyboard is enough', async () => {
    const { page } = alice;
    await alice.creates('Weekend');
    await alice.sends('hi there');
    await alice.seesSent('hi there');
    await page.locator('.room[tabindex="0"]').focus();
    await page.keyboard.press('ArrowDown');
    assert.match(await page.evaluate(() => document.activeElement.textContent), /제품 팀/);
    await page.keyboard.press('Enter');
    await alice.isIn('제품 팀');
    await page.keyboard.press('Control+k');
    assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
    await page.keyboard.press('Escape');
  });

  await step('unread messages are counted, marked, and read elsewhere too', async () => {
    const { page } = alice;
    await page.locator('.room', { hasText: 'Weekend' }).click();
    await alice.isIn('Weekend');
    await bob.sends('first unread');
    await bob.sends('second unread');
    await page.locator('.badge', { hasText: '2 unread messages' }).waitFor();
    assert.match(await page.title(), /^\(2\)/);
    const second = await alice.context.newPage(); // the same login in another tab
    await second.goto(server.origin);
    await second.locator('.badge', { hasText: '2 unread messages' }).waitFor();
    await page.bringToFront();
    await page.locator('.room', { hasText: '제품 팀' }).click();
    await page.locator('.mark.unread').waitFor();
    await page.locator('.badge').waitFor({ state: 'detached' });
    await second.locator('.badge').waitFor({ state: 'detached' });
    await second.close();
  });

  await step('a chat with one person', async () => {
    await alice.page.getByRole('button', { name: 'New chat' }).click();
    await alice.page.getByRole('dialog').getByLabel('Email').fill(bob.email);
    await alice.page.getByRole('button', { name: 'Start' }).click();
    await alice.isIn('Bob');
    await alice.sends('just us');
    await bob.page.locator('.room', { hasText: '김민지' }).click();
    await bob.isIn('김민지');
    await bob.sees('just us');
  });

  await step('a phone shows one thing at a time, and nothing is cut off', async () => {
    const phone = await Person.at(server.origin, 'Phone', { viewport: { width: 375, height: 740 }, locale: 'ko-KR', colorScheme: 'dark', hasTouch: true });
    const { page } = phone;
    await phone.hasNoSidewaysScroll('sign-up');
    await page.getByRole('button', { name: '이미 계정이 있나요? 로그인' }).click();
    await page.getByLabel('이메일').fill(bob.email);
    await page.getByLabel('비밀번호').fill(bob.password);
    await page.getByRole('button', { name: '로그인', exact: true }).click();
    await page.locator('.room', { hasText: '제품 팀' }).waitFor();
    await phone.hasNoSidewaysScroll('rooms');
    await picture(phone, 'phone-rooms');
    await phone.findsAccessible('rooms on a phone');
    await page.locator('.room', { hasText: '제품 팀' }).click();
    await phone.sees('second unread');
    await phone.hasNoSidewaysScroll('room');
    await picture(phone, 'phone-room');
    await page.getByRole('button', { name: '검색', exact: true }).click();
    await page.getByRole('searchbox').fill('회의록');
    await page.locator('.hit').waitFor();
    await phone.hasNoSidewaysScroll('search');
    await picture(phone, 'phone-search');
    await page.locator('.hit').click();
    await page.locator('.message.found').waitFor();
    await page.getByRole('button', { name: '대화방 목록으로' }).click();
    await page.locator('.room', { hasText: '제품 팀' }).waitFor();
    await phone.leaves();
  });

  await step('the server crashes and comes back: nothing is gone, nobody logs in again', async () => {
    await server.stop();
    await alice.page.getByText(/Connection lost/).waitFor();
    await alice.sends('while it was down');
    await server.run();
    await alice.seesSent('while it was down');
    await bob.sees('while it was down');
    await bob.page.reload();
    await bob.page.locator('.room', { hasText: '제품 팀' }).click();
    await bob.sees('second unread');
  });

  await step('language and appearance can be chosen, logging out ends it in all tabs', async () => {
    const { page } = bob;
    const second = await bob.context.newPage();
    await second.goto(cable.origin);
    await second.getByRole('navigation', { name: 'Rooms' }).waitFor();
    await page.getByRole('button', { name: /Settings/ }).click();
    await page.getByRole('button', { name: 'Dark' }).click();
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark');
    await page.getByRole('button', { name: '한국어' }).click();
    await page.getByRole('navigation', { name: '대화방' }).waitFor();
    await page.getByRole('button', { name: /설정/ }).click();
    await page.getByRole('button', { name: '로그아웃' }).click();
    await page.getByRole('button', { name: '로그인', exact: true }).waitFor();
    await second.getByRole('button', { name: /로그인|Log in/ }).first().waitFor();
    assert.equal(await page.evaluate(() => localStorage.getItem('knatter.session')), null);
  });

  await step('a picture for the README', () => portrait());

  await step('no page had a fault', async () => {
    await alice.leaves();
    await bob.leaves();
  });
});

/** A short conversation as people have it, photographed; for the README when asked (npm run screenshot). */
async function portrait() {
  const minji = await Person.at(server.origin, '김민지', { deviceScaleFactor: 2, viewport: { width: 1200, height: 720 } });
  await minji.signsUp();
  for (const name of ['Lunch', '여행 계획', '제품 팀']) {
    const room = await minji.creates(name);
    const others = [];
    for (const nickname of ['박지훈', 'Ada']) {
      const session = new Session({ origin: server.origin });
      await session.signUp({ email: `${newID()}@example.com`, password: 'correct horse battery', nickname });
      await new API(session).join(room);
      const client = new Client({ origin: server.origin, token: (stale) => session.token(stale), WebSocket });
      client.connect();
      others.push({ client, says: (text) => client.send('message.posted', room, { text }) });
    }
    const [jihun, ada] = others;
    if (name === 'Lunch') await ada.says('Noodles at noon?');
    if (name === '여행 계획') await jihun.says('부산행 기차표 예매했어요!');
    if (name === '제품 팀') {
      await jihun.says('좋은 아침이에요. 어제 회의록을 공유해 주실 수 있나요?');
      await minji.sends('네, 방금 올렸어요. 다음 주 일정도 함께 확인해 주세요.');
      await minji.seesSent('네, 방금 올렸어요. 다음 주 일정도 함께 확인해 주세요.');
      await ada.says('Thanks! I have answered the open questions in the margin.');
      await ada.says('I will write it up after lunch.');
      await jihun.says('회의에서 나온 질문은 제가 정리할게요.');
      await minji.sends('Perfect. See you both at three!');
      await minji.seesSent('Perfect. See you both at three!');
    }
    for (const { client } of others) client.close();
  }
  const { page } = minji;
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await page.getByRole('searchbox').fill('회의');
  await page.locator('.hit').nth(1).waitFor();
  await page.locator('.toast').evaluate((toast) => toast.replaceChildren());
  mkdirSync(new URL('.', `file://${readme}`), { recursive: true });
  await page.screenshot({ path: process.env.KNATTER_SCREENSHOT ? readme : `${artifacts}readme.png` });
  await minji.leaves();
}

// People with a browser each: they do and see what people do and see.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8');

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

const PASSWORD = 'correct horse battery';

export class Person {
  constructor(nickname) {
    this.nickname = nickname;
    this.email = `${crypto.randomUUID().slice(0, 8)}@example.com`;
    this.password = PASSWORD;
    this.problems = [];
  }

  /** Opens the page in a browser of their own. */
  static async at(origin, nickname, options = {}) {
    const person = new Person(nickname);
    person.context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US', ...options });
    person.context.setDefaultTimeout(10_000);
    person.page = await person.context.newPage();
    // Whatever the policy blocks or the code throws is a fault, in any test.
    person.page.on('pageerror', (err) => person.problems.push(String(err)));
    person.page.on('console', (message) => {
      if (/Content.Security.Policy|Refused to/i.test(message.text())) person.problems.push(message.text());
    });
    await person.page.goto(origin);
    return person;
  }

  async signsUp() {
    const { page } = this;
    await page.getByLabel('Nickname').fill(this.nickname);
    await page.getByLabel('Email').fill(this.email);
    await page.getByLabel('Password').fill(this.password);
    await page.getByRole('button', { name: 'Sign up' }).click();
    await page.getByRole('navigation', { name: 'Rooms' }).waitFor();
  }

  /** Creates a room; its code. */
  async creates(name) {
    const { page } = this;
    await page.getByRole('button', { name: 'New chat' }).click();
    await page.getByLabel('Name of the room').fill(name);
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await this.isIn(name);
    return page.locator('.conversation .code span').innerText();
  }

  async joins(code, name) {
    const { page } = this;
    await page.getByRole('button', { name: 'New chat' }).click();
    await page.getByRole('textbox', { name: 'Room code' }).fill(code);
    await page.getByRole('button', { name: 'Join', exact: true }).click();
    await this.isIn(name);
  }

  async isIn(name) {
    await this.page.getByRole('heading', { level: 1, name }).waitFor();
    await this.page.locator('dialog').waitFor({ state: 'detached' });
  }

  /** Types and presses Enter. */
  async sends(text) {
    const input = this.page.locator('.composer textarea');
    await input.fill(text);
    await input.press('Enter');
  }

  message(text) {
    return this.page.locator('.message').filter({ has: this.page.locator('.text', { hasText: exactly(text) }) });
  }

  async sees(text) {
    await this.message(text).first().waitFor();
    assert.equal(await this.message(text).count(), 1, `${this.nickname} sees once: ${text}`);
  }

  async seesSent(text) {
    await this.message(text).locator('.delivery .icon-check').waitFor();
  }

  /** Nothing that keeps people from using the view. */
  async findsAccessible(view) {
    await this.page.evaluate(axe);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }));
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)]), [], view);
    return violations.map(({ id, impact }) => `${id} (${impact})`);
  }

  async hasNoSidewaysScroll(view) {
    const wider = await this.page.evaluate(() => [...document.querySelectorAll('*')]
      .filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.hidden-visually'))
      .map((node) => node.outerHTML.slice(0, 80)));
    assert.deepEqual(wider, [], `${view} is wider than the screen`);
    assert.equal(await this.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, view);
  }

  async leaves() {
    await this.context.close();
    assert.deepEqual(this.problems, [], `faults in ${this.nickname}'s page`);
  }
}

/** The whole text, whatever is in it. */
export function exactly(text) {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
}

// @ts-check
import { h } from './dom.js';
import { icon } from './icons.js';
import { t } from './settings.js';

const MAX_TEXT = 4000; // Unicode code points
const WARN = 200; // the count is shown when fewer are left

/** Where a message is written. */
export class Composer {
  /** @param {{to: string, draft: string, ondraft: (text: string) => void, ontype: () => void, onsend: (text: string) => void}} options */
  constructor({ to, draft, ondraft, ontype, onsend }) {
    this.ondraft = ondraft;
    this.onsend = onsend;
    this.input = h('textarea', {
      rows: 1, value: draft, placeholder: t('write'), enterkeyhint: 'send', 'aria-label': t('messageTo', to),
      'aria-describedby': 'composer-hint', autocomplete: 'off',
      oninput: () => {
        this.#changed();
        if (this.input.value.trim()) ontype();
      }, onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
    });
    this.count = h('span', { class: 'count', role: 'status' });
    this.button = h('button', { type: 'submit', class: 'primary round', 'aria-label': t('send'), title: t('send') }, icon('send'));
    this.root = h('form', { class: 'composer', onsubmit: (/** @type {Event} */ e) => this.#submit(e) },
      h('div', { class: 'field' }, this.input, this.count), this.button,
      h('p', { id: 'composer-hint', class: 'hidden-visually' }, t('sendHint')));
    this.#changed();
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== 'Enter' || event.shiftKey) return;
    // While an input method composes (Korean, Japanese), Enter ends the syllable.
    // Safari ends the composition first and says so only by the key code.
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit(event);
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text || [...text].length > MAX_TEXT) return;
    this.input.value = '';
    this.#changed();
    this.onsend(text);
    this.focus();
  }

  #changed() {
    const { input } = this;
    const length = [...input.value.trim()].length;
    const left = MAX_TEXT - length;
    this.count.textContent = left < 0 ? t('tooLong', -left) : left < WARN ? String(left) : '';
    this.button.disabled = length === 0 || left < 0;
    this.ondraft(input.value);
    // Where field-sizing is unknown the height follows the text by hand.
    if (!CSS.supports('field-sizing', 'content')) {
      input.style.height = 'auto';
      input.style.height = `${input.scrollHeight}px`;
    }
  }
}

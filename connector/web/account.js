// @ts-check
import { fill, h } from './dom.js';
import { settings, t } from './settings.js';
import { explain } from './status.js';
import { LANGUAGE_NAMES } from './strings.js';

/**
 * A labelled input.
 * @param {string} label @param {Record<string, any>} props @param {string} [hint]
 */
export function field(label, props, hint) {
  const id = `field-${props.name}`;
  return h('div', { class: 'labelled' },
    h('label', { htmlFor: id }, label),
    h('input', { id, required: true, 'aria-describedby': hint && `${id}-hint`, ...props }),
    hint && h('p', { id: `${id}-hint`, class: 'hint' }, hint));
}

/**
 * A form that does one thing with the server: disabled meanwhile, says what failed.
 * @param {{label: string, fields: any[], submit: string, action: (values: Record<string, string>, form: HTMLFormElement) => Promise<any>,
 *   problems?: Record<number, string>, class?: string}} options
 */
export function actionForm({ label, fields, submit, action, problems, class: className = '' }) {
  const trouble = h('p', { class: 'trouble', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'primary' }, submit);
  return h('form', {
    class: `form ${className}`, 'aria-label': label,
    onsubmit: async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const form = /** @type {HTMLFormElement} */ (event.target);
      const values = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
      fill(trouble);
      button.disabled = true;
      try {
        await action(values, form);
      } catch (err) {
        fill(trouble, explain(err, problems));
      } finally {
        button.disabled = false;
      }
    },
  }, fields, trouble, button);
}

/** The language switch. */
export function languageSwitch() {
  return h('div', { class: 'segments', role: 'group', 'aria-label': t('language') },
    Object.entries(LANGUAGE_NAMES).map(([language, name]) => h('button', {
      type: 'button', lang: language, 'aria-pressed': String(settings.language === language),
      onclick: () => (settings.language = /** @type {any} */ (language)),
    }, name)));
}

/** Signing up and logging in. */
export class AccountView {
  #session;
  #ondone;
  #kind;

  /** @param {{session: import('./session.js').Session, kind: 'signUp' | 'logIn', ondone: () => void}} options */
  constructor({ session, kind, ondone }) {
    this.#session = session;
    this.#ondone = ondone;
    this.#kind = kind;
    this.card = h('div', { class: 'card' });
    this.root = h('main', { class: 'account' }, this.card, h('footer', {}, languageSwitch()));
    this.#draw();
  }

  close() {}

  #draw() {
    const joining = this.#kind === 'signUp';
    const email = field(t('email'), { name: 'email', type: 'email', autocomplete: joining ? 'email' : 'username', maxlength: 254 });
    const password = field(t('password'), {
      name: 'password', type: 'password', minlength: joining ? 8 : 1, maxlength: 1000,
      autocomplete: joining ? 'new-password' : 'current-password',
    }, joining ? t('passwordHint') : undefined);
    const nickname = joining && field(t('nickname'), { name: 'nickname', autocomplete: 'nickname', maxlength: 200 }, t('nicknameHint'));
    fill(this.card,
      h('div', { class: 'brand' }, h('img', { src: 'icon.svg', alt: '', width: 48, height: 48 }), h('h1', {}, 'Knatter')),
      h('p', { class: 'tagline' }, t('tagline')),
      actionForm({
        label: t(this.#kind),
        fields: [nickname, email, password],
        submit: t(this.#kind),
        problems: joining ? { 409: t('emailTaken') } : { 401: t('wrongLogin') },
        action: async (values) => {
          if (joining) await this.#session.signUp(/** @type {any} */ (values));
          else await this.#session.login(values.email, values.password);
          this.#ondone();
        },
      }),
      h('button', {
        type: 'button', class: 'link',
        onclick: () => {
          this.#kind = joining ? 'logIn' : 'signUp';
          this.#draw();
          this.card.querySelector('input')?.focus();
        },
      }, t(joining ? 'toLogIn' : 'toSignUp')));
  }
}

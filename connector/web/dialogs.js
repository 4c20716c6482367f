// @ts-check
import { actionForm, field, languageSwitch } from './account.js';
import { avatar } from './avatar.js';
import { fill, h } from './dom.js';
import { icon } from './icons.js';
import { settings, t } from './settings.js';
import { announce, explain } from './status.js';

/**
 * Opens a modal dialog; Escape and the background close it.
 * @param {string} title @param {(close: () => void) => any} content
 */
function open(title, content) {
  const dialog = h('dialog', { class: 'dialog', 'aria-label': title, onclose: () => dialog.remove() });
  const close = () => dialog.close();
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) close(); // the content covers all but the backdrop
  });
  dialog.append(h('div', { class: 'dialog-content' },
    h('header', { class: 'bar' }, h('h2', {}, title),
      h('button', { type: 'button', class: 'quiet', onclick: close, 'aria-label': t('close'), title: t('close') }, icon('close'))),
    content(close)));
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector('input')?.focus();
  return dialog;
}

/**
 * Fills a list with the friends, to choose one.
 * @param {Element} list @param {import('./api.js').API} api
 * @param {(friend: import('./api.js').Friend) => Promise<any>} choose
 * @param {(friend: import('./api.js').Friend) => boolean} [wanted]
 */
export async function listFriends(list, api, choose, wanted = () => true) {
  const friends = await api.friends().catch(() => []);
  fill(list, friends.filter(wanted).map((friend) => h('li', {},
    h('button', { type: 'button', onclick: () => choose(friend) },
      avatar(friend.id, friend.nickname), h('span', { class: 'name' }, friend.nickname)))));
}

/**
 * Creating a room, joining one, or writing to one person.
 * @param {{api: import('./api.js').API, code?: string, onroom: (room: string) => Promise<void>}} options
 */
export function openNewChat({ api, code = '', onroom }) {
  open(t('newRoom'), (close) => {
    /** @param {string} room */
    const enter = async (room) => {
      await onroom(room);
      close();
    };
    const trouble = h('p', { class: 'trouble', role: 'alert' });
    const friends = h('ul', { class: 'people', role: 'list', 'aria-label': t('friends') });
    const list = () => listFriends(friends, api, (friend) => api.direct(friend.id).then(({ id }) => enter(id))
      .catch((err) => fill(trouble, explain(err))));
    void list();
    const create = actionForm({
      label: t('createRoom'), class: 'inline', submit: t('create'),
      fields: [field(t('roomName'), { name: 'name', maxlength: 400, autocomplete: 'off' })],
      action: async ({ name }) => enter((await api.createRoom(name.trim())).id),
    });
    const join = actionForm({
      label: t('joinRoom'), class: 'inline', submit: t('join'), problems: { 403: t('wasRemoved'), 404: t('roomNotFound') },
      fields: [field(t('roomCode'), { name: 'code', maxlength: 200, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', value: code })],
      action: async (values) => {
        const room = values.code.trim().toLowerCase();
        await api.join(room);
        await enter(room);
      },
    });
    const direct = actionForm({
      label: t('directChat'), class: 'inline', submit: t('start'), problems: { 404: t('personNotFound') },
      fields: [field(t('email'), { name: 'email', type: 'email', maxlength: 254, autocomplete: 'off' }, t('directHint'))],
      action: async ({ email }) => {
        const friend = await api.befriend(email).finally(list);
        await enter((await api.direct(friend.id)).id);
      },
    });
    return [
      h('section', {}, h('h3', {}, t('createRoom')), create),
      h('section', {}, h('h3', {}, t('joinRoom')), join),
      h('section', {}, h('h3', {}, t('directChat')), direct, friends, trouble),
    ];
  });
}

/** Asks before something is done. @param {string} question @param {string} hint @param {string} yes @param {() => Promise<any>} action */
export function confirm(question, hint, yes, action) {
  open(question, (close) => [
    h('p', {}, hint),
    actionForm({
      label: yes, submit: yes, class: 'danger', fields: [],
      action: async () => {
        await action();
        close();
      },
    }),
  ]);
}

/**
 * @param {{api: import('./api.js').API, me: import('./session.js').User,
 *   onrename: (nickname: string) => void, onlogout: () => void}} options
 */
export function openSettings({ api, me, onrename, onlogout }) {
  open(t('settings'), (close) => [
    h('section', {}, actionForm({
      label: t('nickname'), class: 'inline', submit: t('save'),
      fields: [field(t('nickname'), { name: 'nickname', maxlength: 200, value: me.nickname, autocomplete: 'nickname' })],
      action: async ({ nickname }) => {
        await api.rename(nickname.trim());
        onrename(nickname.trim());
        announce(t('saved'), true);
      },
    })),
    h('section', { onclick: (/** @type {Event} */ e) => e.target instanceof HTMLButtonElement && close() },
      h('h3', {}, t('language')), languageSwitch()),
    h('section', {}, h('h3', {}, t('theme')), themeSwitch()),
    h('section', {}, h('button', {
      type: 'button', class: 'secondary',
      onclick: () => {
        close();
        onlogout();
      },
    }, icon('leave'), t('logOut'))),
  ]);
}

function themeSwitch() {
  const group = h('div', { class: 'segments', role: 'group', 'aria-label': t('theme') });
  const draw = () => fill(group, /** @type {const} */ ([['system', 'themeSystem'], ['light', 'themeLight'], ['dark', 'themeDark']])
    .map(([theme, name]) => h('button', {
      type: 'button', 'aria-pressed': String(settings.theme === theme),
      onclick: () => {
        settings.theme = theme;
        draw();
        group.querySelector(/** @type {'button'} */ ('[aria-pressed=true]'))?.focus();
      },
    }, t(name))));
  draw();
  return group;
}

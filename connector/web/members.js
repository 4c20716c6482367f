// @ts-check
import { actionForm, field } from './account.js';
import { avatar } from './avatar.js';
import { confirm, listFriends } from './dialogs.js';
import { copy, fill, framed, h } from './dom.js';
import { icon } from './icons.js';
import { t } from './settings.js';
import { announce, explain } from './status.js';

const RANK = { owner: 0, moderator: 1, member: 2 };

/** Who is in the room; its code; leaving. */
export class MembersPanel {
  #listeners = new AbortController();

  /**
   * @param {{rooms: import('./rooms.js').Rooms, room: import('./rooms.js').Room, api: import('./api.js').API,
   *   onclose: () => void, onleft: () => void}} options
   */
  constructor({ rooms, room, api, onclose, onleft }) {
    const list = h('ul', { class: 'people', role: 'list', 'aria-label': t('members') });
    const draw = () => {
      const mine = RANK[room.members.get(rooms.me.id)?.role ?? 'member'];
      const members = [...room.members.values()]
        .sort((a, b) => RANK[a.role] - RANK[b.role] || a.nickname.localeCompare(b.nickname));
      fill(list, members.map((member) => h('li', {},
        avatar(member.user, member.nickname),
        h('span', { class: 'name' }, member.nickname, member.user === rooms.me.id && ` (${t('you')})`),
        member.role !== 'member' && room.kind !== 'direct' && h('span', { class: 'role' }, t(member.role)),
        mine < RANK[member.role] && room.kind !== 'direct' && h('button', {
          type: 'button', class: 'quiet', 'aria-label': t('removeMember', member.nickname), title: t('removeMember', member.nickname),
          onclick: () => confirm(t('removeMember', member.nickname), t('removeHint'), t('removeMember', member.nickname),
            () => api.remove(room.id, member.user)),
        }, icon('close')))));
    };
    // Who is asked for by an address and was a friend before can be chosen here.
    const friends = h('ul', { class: 'people', role: 'list', 'aria-label': t('friends') });
    /** @param {import('./api.js').Friend} friend */
    const invite = async ({ id, nickname }) => {
      const { role } = await api.invite(room.id, id);
      announce(t(role ? 'invited' : 'invitationSent', nickname), true);
    };
    /** @returns {Promise<void>} */
    const listOthers = () => listFriends(friends, api, (friend) => invite(friend).then(listOthers, (err) => announce(explain(err), true)),
      ({ id }) => !room.members.has(id));
    this.root = h('aside', { class: 'panel', 'aria-label': t('members') },
      h('header', { class: 'bar' }, h('h2', {}, t('members')),
        h('button', { type: 'button', class: 'quiet', onclick: onclose, 'aria-label': t('close'), title: t('close') }, icon('close'))),
      h('div', { class: 'panel-content' },
        room.kind !== 'direct' && h('section', { class: 'share' },
          h('p', { class: 'hint' }, t('codeHint')),
          h('button', {
            type: 'button', class: 'secondary', 'aria-label': t('copyCode', room.id),
            onclick: () => void copy(room.id).then(() => announce(t('codeCopied'), true)),
          }, icon('copy'), h('code', {}, room.id)),
          actionForm({
            label: t('invite'), class: 'inline', submit: t('invite'), problems: { 404: t('personNotFound') },
            fields: [field(t('email'), { name: 'email', type: 'email', maxlength: 254, autocomplete: 'off', placeholder: t('email') })],
            action: async ({ email }, form) => {
              await invite(await api.befriend(email).catch(async (err) => {
                await listOthers();
                throw err;
              }));
              form.reset();
            },
          }),
          friends),
        list,
        h('button', {
          type: 'button', class: 'secondary leave',
          onclick: () => confirm(t('leaveAsk', rooms.title(room)), t('leaveHint'), t('leave'), async () => {
            await api.remove(room.id, rooms.me.id);
            await rooms.refresh();
            onleft();
          }),
        }, icon('leave'), t('leave'))));
    const update = framed(draw);
    rooms.addEventListener('change', (e) => {
      if (/** @type {CustomEvent} */ (e).detail.room === room) update();
    }, { signal: this.#listeners.signal });
    void rooms.loadMembers(room, true).catch(() => {});
    draw();
  }

  focus() {
    this.root.querySelector('button')?.focus();
  }

  close() {
    this.#listeners.abort();
  }
}

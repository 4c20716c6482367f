// @ts-check
import { h } from './dom.js';

/** A coloured initial; the colour belongs to the id. @param {string} id @param {string} name */
export function avatar(id, name) {
  let hash = 0;
  for (const char of id) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  const [initial = '?'] = name.trim();
  const node = h('span', { class: 'avatar', 'aria-hidden': 'true' }, initial.toLocaleUpperCase());
  node.style.setProperty('--hue', String(hash % 360));
  return node;
}

// @ts-check

/** Set as properties; everything else is an attribute. */
const PROPERTIES = new Set(['value', 'disabled', 'checked', 'selected', 'hidden', 'tabIndex', 'textContent', 'htmlFor', 'inert']);

/**
 * Makes an element. Text becomes text nodes, never markup; there is no way to
 * pass HTML, which is how message text stays text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [props] `onclick` and the like add listeners
 * @param {...any} children nodes, strings, arrays of them; null, undefined and false are left out
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) /** @type {any} */ (node)[name] = value;
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...flat(children));
  return node;
}

/** Replaces the children. @param {Element} node @param {...any} children */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
}

/** @param {any[]} children */
function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Calls f at most once a frame. @param {() => void} f */
export function framed(f) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      f();
    });
  };
}

/**
 * Copies text; without a secure context there is no clipboard API.
 * @param {string} text
 */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h('textarea', { class: 'hidden-visually', value: text });
  const dialog = document.querySelector('dialog[open]') ?? document.body;
  dialog.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

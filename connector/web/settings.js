// @ts-check
import { LANGUAGES } from './strings.js';

/** @typedef {keyof typeof LANGUAGES} Language */

/** What the user chose for this browser. Dispatches `change`. */
class Settings extends EventTarget {
  /** @returns {Language} */
  get language() {
    const chosen = localStorage.getItem('knatter.language');
    const wanted = [chosen, ...(navigator.languages ?? [navigator.language])];
    for (const tag of wanted) {
      const language = tag?.toLowerCase().split('-')[0];
      if (language && language in LANGUAGES) return /** @type {Language} */ (language);
    }
    return 'en';
  }

  set language(language) {
    localStorage.setItem('knatter.language', language);
    this.dispatchEvent(new Event('change'));
  }

  /** @returns {'system' | 'light' | 'dark'} */
  get theme() {
    return /** @type {any} */ (localStorage.getItem('knatter.theme')) ?? 'system';
  }

  set theme(theme) {
    localStorage.setItem('knatter.theme', theme);
    document.documentElement.dataset.theme = theme;
  }
}

export const settings = new Settings();

/**
 * A string of the interface in the user's language.
 * @param {keyof typeof LANGUAGES['en']} key @param {any} [argument]
 * @returns {string}
 */
export function t(key, argument) {
  const text = LANGUAGES[settings.language][key];
  return typeof text === 'function' ? text(argument) : text;
}

// @ts-check
import { settings } from './settings.js';

/** @type {Map<string, Intl.DateTimeFormat>} making one is slow, using it is not */
const formats = new Map();

/** @param {Intl.DateTimeFormatOptions} options */
function format(options) {
  const key = settings.language + JSON.stringify(options);
  let made = formats.get(key);
  if (!made) formats.set(key, (made = new Intl.DateTimeFormat(settings.language, options)));
  return made;
}

/** The local day as yyyy-mm-dd. @param {string | Date} time */
export function dayOf(time) {
  const date = new Date(time);
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** @param {string} time */
export function clock(time) {
  return format({ hour: 'numeric', minute: '2-digit' }).format(new Date(time));
}

/** Day and time in full, for titles. @param {string} time */
export function fully(time) {
  return format({ dateStyle: 'full', timeStyle: 'short' }).format(new Date(time));
}

/** A day's heading: today, yesterday, or the date. @param {string} time */
export function dayName(time, now = new Date()) {
  const days = Math.round((Date.parse(dayOf(time)) - Date.parse(dayOf(now))) / 86_400_000);
  if (days === 0 || days === -1) {
    const name = new Intl.RelativeTimeFormat(settings.language, { numeric: 'auto' }).format(days, 'day');
    return name.charAt(0).toLocaleUpperCase(settings.language) + name.slice(1);
  }
  return format({ dateStyle: 'full' }).format(new Date(time));
}

/** As short as it is clear: the time today, else the date. @param {string} time */
export function briefly(time, now = new Date()) {
  if (dayOf(time) === dayOf(now)) return clock(time);
  const date = new Date(time);
  const sameYear = date.getFullYear() === now.getFullYear();
  return format(sameYear ? { month: 'short', day: 'numeric' } : { year: 'numeric', month: 'numeric', day: 'numeric' }).format(date);
}

/** The first moment of a local day (yyyy-mm-dd), or of the one `days` later. @param {string} day */
export function startOf(day, days = 0) {
  const [year, month, date] = day.split('-').map(Number);
  return new Date(year, month - 1, date + days);
}

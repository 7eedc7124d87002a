// Owns asking for a moment: written in the reader's zone (or UTC, if that is what is shown), and told as ISO 8601 in UTC.

import { h } from './dom.js';
import { isUtc, now, zone } from './time.js';
import { field, question } from './parts.js';

/** A moment as `<input type="datetime-local">` writes it. */
function local(ms, utc) {
  const shifted = utc ? ms : ms - new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(shifted).toISOString().slice(0, 19);
}

/** An input for a moment. It keeps the zone in which it was made, and gives back what it was given until somebody writes in it:
 * an hour that the clock shows twice is not told apart by what is written. */
export function momentInput(iso, attributes = {}) {
  const utc = isUtc();
  const given = iso ? local(Date.parse(iso), utc) : '';
  const input = h('input', { ...attributes, type: 'datetime-local', step: 1, value: given });
  const zoneName = zone();
  const read = () => {
    if (input.validity.badInput) throw new Error('expected a date and a time');
    if (!input.value) return null;
    if (iso && input.value === given) return iso;
    return `${new Date(utc ? `${input.value}Z` : input.value).toISOString().slice(0, 19)}Z`;
  };
  return { input, read, zoneName };
}

/** The same with a label. `read` gives ISO 8601 in UTC, or null if it is empty. */
export function momentField(label, iso, { required = false } = {}) {
  const { input, read, zoneName } = momentInput(iso, { required });
  const needed = () => {
    const value = read();
    if (required && !value) throw new Error(`${label}: expected a date and a time`);
    return value;
  };
  return { element: field(`${label} (${zoneName})`, input), input, read: needed };
}

/** Asks for moments by their names; from an hour ago until now, unless somebody writes something else. */
export async function askMoment(title, names, yes) {
  const fields = names.map((name, place) => momentField(name, `${new Date(now() - (names.length - 1 - place) * 3_600_000).toISOString().slice(0, 19)}Z`, { required: true }));
  return question(title, fields.map(one => one.element), {
    yes, read: () => Object.fromEntries(names.map((name, place) => [name, fields[place].read()])),
  });
}

// Owns asking for a moment: written in the reader's zone (or UTC, if that is what is shown), or as ISO 8601.

import { h } from './dom.js';
import { isUtc, now, zone } from './time.js';
import { field, question } from './parts.js';

/** A moment as `<input type="datetime-local">` writes it. */
function local(ms) {
  const at = new Date(ms);
  const shifted = isUtc() ? at : new Date(ms - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

/** A control for a moment. `read` gives ISO 8601 in UTC, or null if it is empty. */
export function momentField(label, iso, { required = false } = {}) {
  const input = h('input', { type: 'datetime-local', step: 1, required, value: iso ? local(Date.parse(iso)) : '' });
  const read = () => {
    if (!input.value) {
      if (required || input.validity.badInput) throw new Error(`${label}: expected a date and a time`);
      return null;
    }
    const at = new Date(isUtc() ? `${input.value}Z` : input.value);
    return `${at.toISOString().slice(0, 19)}Z`;
  };
  return { element: field(`${label} (${zone()})`, input), input, read };
}

/** Asks for moments by their names; from an hour ago until now, unless somebody writes something else. */
export async function askMoment(title, names, yes) {
  const fields = names.map((name, place) => momentField(name, new Date(now() - (names.length - 1 - place) * 3_600_000).toISOString(), { required: true }));
  return question(title, fields.map(one => one.element), {
    yes, read: () => Object.fromEntries(names.map((name, place) => [name, fields[place].read()])),
  });
}

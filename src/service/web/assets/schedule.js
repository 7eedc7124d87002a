// Owns what a schedule means, as the API says it: in words, and when it is due.

import { post } from './api.js';

/** The members of a job that say when it is due, as the preview takes them. */
const TERMS = ['schedule', 'runAt', 'timeZone', 'dst', 'spreadSeconds', 'spreadSeed', 'startsAt', 'endsAt', 'excludeDates', 'excludeCalendars'];

export function termsOf(job) {
  return Object.fromEntries(TERMS.filter(name => job[name] !== undefined && job[name] !== null).map(name => [name, job[name]]));
}

/** What it means, and up to `count` instants from `from` on. */
export const preview = (job, more, signal) => post('/api/schedules/preview', { ...termsOf(job), ...more }, signal);

const known = new Map();
const KNOWN_MAX = 2000;

/** The schedule in words. Asked for once for each. */
export async function describe(job, signal) {
  const key = JSON.stringify(termsOf(job));
  if (!known.has(key)) {
    if (known.size >= KNOWN_MAX) known.clear();
    known.set(key, (await preview(job, { count: 1 }, signal)).description);
  }
  return known.get(key);
}

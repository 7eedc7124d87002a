// Owns which members of a job a form has, how each is written there, and how it is read back. How a form looks is not here.

import { parseExactly } from './api.js';

/** What a policy of alerts says. Somebody else says what it does not. */
export const POLICY = [
  { path: 'after', label: 'Failures in a row', kind: 'number' },
  { path: 'recovery', label: 'Tell that it is over', kind: 'flag' },
  { path: 'remindEvery', label: 'Tell again every', kind: 'text', hint: 'such as 4h or 1h30m' },
  { path: 'noSuccessFor', label: 'No success for', kind: 'text', hint: 'such as 26h, whatever the reason' },
  { path: 'lateBy', label: 'Late by', kind: 'text', hint: 'such as 30s' },
  { path: 'onAutoPause', label: 'Tell that it paused itself', kind: 'flag' },
  { path: 'channels', label: 'Channels', kind: 'names', hint: 'with commas between them; (none) tells nobody' },
];

/**
 * A field: where it is in the job, what it is called, how it is written (`kind`), and what it means. The groups are in the
 * order in which somebody makes a job; those that are `closed` are opened by who needs them.
 */
export const GROUPS = [
  { title: 'When', fields: [
    { path: 'schedule', label: 'Schedule', kind: 'text', hint: 'cron with or without seconds, such as */5 * * * * or 0 0 9 * * MON-FRI; @hourly; @every 90s' },
    { path: 'runAt', label: 'or once, at', kind: 'moment', hint: 'leave the schedule empty then' },
    { path: 'timeZone', label: 'Time zone', kind: 'text', list: 'zones', hint: 'such as Europe/Berlin; unless said, the server\'s' },
  ] },
  { title: 'What', fields: [
    { path: 'api', label: 'URL', kind: 'text', type: 'url', required: true, wide: true },
    { path: 'method', label: 'Method', kind: 'choice', options: [['', 'POST'], 'GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] },
    { path: 'headers', label: 'Headers', kind: 'lines', hint: 'one in a line: Name: value', wide: true },
    { path: 'json', label: 'Body, as JSON', kind: 'json', hint: 'without it and without a text POST sends {}; {{executionId}}, {{jobId}}, {{scheduledTime}} and {{attempt}} are filled in', wide: true },
    { path: 'body', label: 'or as text', kind: 'long', wide: true },
  ] },
  { title: 'How it is called', fields: [
    { path: 'name', label: 'Name', kind: 'text', hint: 'no other job is called so' },
    { path: 'tags', label: 'Tags', kind: 'texts', hint: 'with commas between them; one that has a comma in quotes' },
    { path: 'owner', label: 'Owner', kind: 'text' },
  ] },
  { title: 'Delivery and retries', closed: true, fields: [
    { path: 'type', label: 'Delivery', kind: 'choice', options: [['ATLEAST_ONCE', 'at least once'], ['ATMOST_ONCE', 'at most once']] },
    { path: 'timeoutMs', label: 'Timeout (ms)', kind: 'number' },
    { path: 'success', label: 'Success is', kind: 'list', hint: 'statuses such as 2xx, 304, 400-404' },
    { path: 'retry.maxAttempts', label: 'Attempts at most', kind: 'number', hint: 'the first included' },
    { path: 'retry.initialDelayMs', label: 'First wait (ms)', kind: 'number' },
    { path: 'retry.multiplier', label: 'Each wait longer by', kind: 'number', step: 'any' },
    { path: 'retry.maxDelayMs', label: 'Longest wait (ms)', kind: 'number' },
    { path: 'retry.jitter', label: 'Jitter (0 to 1)', kind: 'number', step: 'any' },
    { path: 'retry.maxElapsedMs', label: 'Give up after (ms)', kind: 'number' },
    { path: 'retry.on', label: 'Retry on', kind: 'list', hint: 'timeout, connection, statuses; all if empty' },
    { path: 'retry.untilNext', label: 'Retries end when the next instant comes', kind: 'check' },
  ] },
  { title: 'Overlap, missed times, limits', closed: true, fields: [
    { path: 'overlap', label: 'While another one runs', kind: 'choice', options: [['', 'both run'], ['skip', 'skip it'], ['queue_one', 'one waits']] },
    { path: 'misfire.policy', label: 'Missed times', kind: 'choice', options: [['', 'as the server says'], ['once', 'run once for all'], ['all', 'run each'], ['skip', 'skip them']] },
    { path: 'misfire.maxLatenessMs', label: 'Latest start (ms)', kind: 'number' },
    { path: 'misfire.maxCatchUp', label: 'Catch up at most', kind: 'number' },
    { path: 'concurrencyKey.name', label: 'Shares a limit called', kind: 'text' },
    { path: 'concurrencyKey.limit', label: 'At once at most', kind: 'number' },
    { path: 'concurrencyKey.rate', label: 'Rate', kind: 'text', hint: 'such as 10/s, 100/m or 5/h' },
    { path: 'autoPauseAfter', label: 'Pause after failures in a row', kind: 'number' },
    { path: 'pauseOn', label: 'Pause on statuses', kind: 'list', hint: 'such as 410' },
  ] },
  { title: 'More about when', closed: true, fields: [
    { path: 'dst.gap', label: 'Time skipped by the clock', kind: 'choice', options: [['', 'run after it'], ['skip', 'skip it']] },
    { path: 'dst.overlap', label: 'Time shown twice', kind: 'choice', options: [['', 'the first'], ['last', 'the last'], ['both', 'both']] },
    { path: 'spreadSeconds', label: 'Spread over (s)', kind: 'number' },
    { path: 'spreadSeed', label: 'Seed of the spread', kind: 'number' },
    { path: 'startsAt', label: 'Not before', kind: 'moment' },
    { path: 'endsAt', label: 'Not after', kind: 'moment' },
    { path: 'maxRuns', label: 'Runs at most', kind: 'number' },
    { path: 'excludeDates', label: 'Not on these dates', kind: 'texts', hint: 'such as 2026-12-25' },
    { path: 'excludeCalendars', label: 'Not on dates of calendars', kind: 'texts' },
  ] },
  { title: 'Alert policy', closed: true, fields: POLICY.map(field => ({ ...field, path: `alerts.${field.path}` })) },
  { title: 'Secrets', closed: true, fields: [
    { path: 'auth.basic.username', label: 'User', kind: 'text' },
    { path: 'auth.basic.password', label: 'Password', kind: 'secret' },
    { path: 'auth.bearer', label: 'or bearer token', kind: 'secret' },
    { path: 'secretHeaders', label: 'Secret headers', kind: 'lines', hint: 'one in a line; (set) keeps what is there', wide: true },
    { path: 'signingSecret', label: 'Signing secret', kind: 'secret', hint: 'whsec_ and base64 (Standard Webhooks)' },
  ] },
];

export const FIELDS = GROUPS.flatMap(group => group.fields);

export const at = (job, path) => path.split('.').reduce((inside, name) => inside?.[name], job);

function put(job, path, value) {
  const names = path.split('.');
  const last = names.pop();
  names.reduce((inside, name) => (inside[name] ??= {}), job)[last] = value;
}

/** What stands for a secret that is kept. */
const SET = '(set)';
/** What stands for a list that is empty, as nothing stands for no list. */
const NONE = '(none)';

/** A member as a form shows it. */
export function write(kind, value) {
  if (value === undefined || value === null) return kind === 'check' ? false : '';
  if (kind === 'check') return value;
  if (kind === 'list') return value.join(', ');
  if (kind === 'flag') return String(value);
  if (kind === 'names') return value.join(', ') || NONE;
  if (kind === 'texts') return value.map(text => (/[,"]|^\s|\s$/.test(text) ? JSON.stringify(text) : text)).join(', ');
  if (kind === 'json') return JSON.stringify(value, null, 2);
  if (kind === 'lines') return Object.entries(value).map(([name, text]) => `${name}: ${typeof text === 'string' ? text : SET}`).join('\n');
  if (kind === 'secret') return typeof value === 'string' ? value : SET;
  return String(value);
}

/** What a form shows, as a member; undefined: there is none. Throws, saying what was expected. */
export function read(kind, shown) {
  if (kind === 'check') return shown || undefined;
  const text = kind === 'long' || kind === 'json' ? shown : shown.trim();
  if (text.trim() === '') return undefined;
  if (kind === 'number') {
    const number = Number(text);
    if (!Number.isFinite(number)) throw new Error('expected a number');
    return number;
  }
  if (kind === 'list') return text.split(',').map(part => part.trim()).filter(Boolean).map(part => (/^(0|[1-9]\d{0,8})$/.test(part) ? Number(part) : part));
  if (kind === 'texts') return (text.match(/\s*"(?:[^"\\]|\\.)*"\s*|[^,]+/g) ?? []).map(part => part.trim()).filter(Boolean).map(part => (part.startsWith('"') ? readJson(part) : part));
  if (kind === 'flag') return text === 'true';
  if (kind === 'names') return text.trim() === NONE ? [] : text.split(',').map(part => part.trim()).filter(Boolean);
  if (kind === 'json') return readJson(text);
  if (kind === 'lines') return readLines(text);
  if (kind === 'secret') return text === SET ? { set: true } : text;
  return text;
}

function readJson(text) {
  try {
    return parseExactly(text);
  } catch (why) {
    throw new Error(`expected JSON: ${why.message}`);
  }
}

function readLines(text) {
  const pairs = text.split('\n').filter(line => line.trim()).map((line, place) => {
    const [, name, value] = /^\s*([^:\s]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (!name) throw new Error(`line ${place + 1}: expected Name: value`);
    return [name, value === SET ? { set: true } : value];
  });
  const twice = pairs.find(([name], place) => pairs.findIndex(([other]) => other.toLowerCase() === name.toLowerCase()) < place);
  if (twice) throw new Error(`${twice[0]} is there twice`);
  return Object.fromEntries(pairs);
}

/** A job out of what a form shows: `shown(path)`. Gives it, and what is wrong, by path. */
export function gather(shown, fields = FIELDS) {
  const job = {};
  const errors = new Map();
  for (const { path, kind, required } of fields) {
    if (required && !shown(path).trim()) errors.set(path, 'it is needed');
    try {
      const value = read(kind, shown(path));
      if (value !== undefined) put(job, path, value);
    } catch (why) {
      errors.set(path, why.message);
    }
  }
  return { job, errors };
}

/** What makes `after` out of `before` (RFC 7396): what is gone is null. */
export function patchOf(before, after) {
  const patch = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, fresh] = [before[name], after[name]];
    if (JSON.stringify(old) === JSON.stringify(fresh)) continue;
    const bothObjects = [old, fresh].every(value => value && typeof value === 'object' && !Array.isArray(value));
    // A body is replaced as a whole: a merge could not say that a member of it is null.
    patch[name] = fresh === undefined ? null : bothObjects && name !== 'json' ? patchOf(old, fresh) : fresh;
  }
  return patch;
}

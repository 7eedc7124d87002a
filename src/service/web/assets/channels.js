// Owns channels on the page: how each fared, a test of it, and making, changing and deleting one. Secrets go one way.

import { h } from './dom.js';
import { ask, get, may, post } from './api.js';
import { count, millis, moment } from './time.js';
import { askFor } from './controls.js';
import { action, choice, field, question, table, toast } from './parts.js';

const url = hint => ({ path: 'url', label: 'URL', kind: 'text', type: 'url', required: true, wide: true, hint });
const secret = (path, label, hint) => ({ path, label, kind: 'secret', hint });
/** The fields of each kind. */
const KINDS = {
  webhook: [url(), secret('signingSecret', 'Signing secret', 'whsec_ and base64 (Standard Webhooks)')],
  slack: [url('an incoming webhook of Slack or Mattermost; of Discord with /slack behind it')],
  ntfy: [url('of a topic, such as https://ntfy.sh/my-topic'), secret('token', 'Token')],
  email: [url('smtp://host:587 or smtps://host:465'), { path: 'username', label: 'User', kind: 'text' }, secret('password', 'Password'),
    { path: 'from', label: 'From', kind: 'text', required: true }, { path: 'to', label: 'To', kind: 'texts', required: true, hint: 'with commas between them' }],
};

const at = name => `/api/channels/${encodeURIComponent(name)}`;

/** The list of them; `done` is called when one was changed. */
export function channelTable(channels, done) {
  const list = table('Channels', [
    { title: 'Channel', isHead: true, class: 'name', cell: one => [one.name, ' ', h('span.soft', `${one.kind}, ${one.target}`)] },
    { title: 'Delivered', cell: one => moment(one.lastDeliveredAt) },
    { title: 'Error', class: 'reason', cell: one => (one.lastError ? [h('span.badge', { class: isFailing(one) ? 'failed' : 'skipped' }, isFailing(one) ? '✕ ' : '– '), one.lastError, ' ', moment(one.lastFailedAt)] : '') },
    { title: 'Waiting', class: 'number', cell: one => count(one.waiting) },
    ...(may('admin') ? [{ title: 'Do', cell: one => h('div.choices',
      action('Test', () => test(one.name, done), { kind: 'quiet', title: `Send a test message over ${one.name}` }),
      action('Change…', async () => change(one.name, await get(at(one.name)), done), { kind: 'quiet', title: `Change ${one.name}` }),
      action('Delete', () => remove(one.name, done), { kind: 'danger', title: `Delete ${one.name}` })) }] : []),
  ], channels, { stacked: true, key: one => one.name, empty: 'There is no channel, so nobody is told of incidents.' });
  return list;
}

const isFailing = one => !one.lastDeliveredAt || one.lastFailedAt > one.lastDeliveredAt;

async function test(name, done) {
  const told = await post(`${at(name)}/test`);
  if (told.delivered) toast(`${name}: delivered within ${millis(told.durationMs)}.`);
  else toast(`${name}: not delivered: ${told.error}`, 'bad');
  done();
}

export async function create(known, done) {
  const name = h('input', { required: true, maxlength: 64, pattern: '[a-z0-9][a-z0-9._\\-]*' });
  const kind = choice(Object.keys(KINDS), 'webhook');
  const asked = await question('New channel', [field('Name', name, 'small letters, digits, dot, underscore, hyphen'), field('Kind', kind)], {
    yes: 'Go on',
    read: () => {
      if (known().includes(name.value)) throw new Error(`there is a channel ${name.value} already`);
      return { name: name.value, kind: kind.value };
    },
  });
  if (asked) await change(asked.name, { kind: asked.kind }, done);
}

async function change(name, before, done) {
  const fields = KINDS[before.kind];
  const sure = await askFor(`Channel ${name}`, fields, before, written => {
    const body = { kind: before.kind, ...written };
    // What is left out stays as it is: one that is taken away is said to be none.
    for (const { path, kind } of fields) if (kind === 'secret' && before[path] && !written[path]) body[path] = null;
    return ask('PUT', at(name), { body });
  });
  if (!sure) return;
  toast(`${name} is set.`);
  done();
}

async function remove(name, done) {
  const sure = await question(`Delete ${name}?`, h('p', 'Nothing is told over it any more. What waits for it is given up.'), { yes: 'Delete', kind: 'danger', send: () => ask('DELETE', at(name)) });
  if (!sure) return;
  toast(`${name} is deleted.`);
  done();
}

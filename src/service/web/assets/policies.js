// Owns policies of alerts on the page: those of the server and of tags, and what counts for a job.

import { h } from './dom.js';
import { ask, may } from './api.js';
import { POLICY } from './fields.js';
import { askFor } from './controls.js';
import { action, emptyState, field, link, question, table, toast } from './parts.js';

const OF_SERVER = [...POLICY, { path: 'onServerTrouble', label: 'Tell the server\'s own trouble', kind: 'flag' }];
const at = tag => (tag === null ? '/api/policies/server' : `/api/policies/tags/${encodeURIComponent(tag)}`);

/** A member in words. */
const said = value => (value === true ? 'yes' : value === false ? 'no' : value === null || value === undefined ? 'none' : Array.isArray(value) ? value.join(', ') || 'none' : String(value));
const labelOf = name => OF_SERVER.find(({ path }) => path === name)?.label ?? name;

const rowsOf = ({ server, tags }) => [{ tag: null, policy: server }, ...tags];

/** The list of them. `policies` gives what they are by now: a row stays as it is where it says the same. `done` is called when
 * one was changed. */
export function policyTable(policies, done) {
  const list = table('Policies', [
    { title: 'Of', isHead: true, class: 'name', cell: ({ tag }) => (tag === null ? 'the server' : link(`/jobs?tag=${encodeURIComponent(tag)}`, h('span.tag', tag))) },
    { title: 'Says', class: 'reason', cell: ({ policy }) => Object.entries(policy).map(([name, value]) => `${labelOf(name)}: ${said(value)}`).join('; ') || 'nothing: each failure opens an incident, which is told over all channels' },
    ...(may('write') ? [{ title: 'Do', cell: ({ tag }) => h('div.choices',
      action('Change…', () => change(tag, policies, done), { kind: 'quiet', title: `Change the policy of ${tag ?? 'the server'}` }),
      tag === null ? null : action('Remove', () => remove(tag, done), { kind: 'danger', title: `Remove the policy of ${tag}` })) }] : []),
  ], rowsOf(policies()), { stacked: true, key: ({ tag }) => `of ${tag}` });
  return { list, draw: () => list.rows(rowsOf(policies())) };
}

async function change(tag, policies, done) {
  const before = rowsOf(policies()).find(one => one.tag === tag)?.policy ?? {};
  const sure = await askFor(tag === null ? 'Policy of the server' : `Policy of ${tag}`, tag === null ? OF_SERVER : POLICY, before, body => ask('PUT', at(tag), { body }),
    h('p.soft', 'What is empty is as the next wider policy says.'));
  if (!sure) return;
  toast('The policy is set.');
  done();
}

async function remove(tag, done) {
  const sure = await question(`Remove the policy of ${tag}?`, [], { yes: 'Remove', kind: 'danger', send: () => ask('DELETE', at(tag)) });
  if (!sure) return;
  toast('The policy is removed.');
  done();
}

export async function create(policies, done) {
  const tag = h('input', { required: true });
  const asked = await question('Policy of a tag', field('Tag', tag), { yes: 'Go on', read: () => tag.value });
  if (asked) await change(asked, policies, done);
}

/** What counts for a job, and who says so. */
export function effective({ effective: values, from }) {
  const rows = OF_SERVER.filter(({ path }) => path in from);
  const who = text => (text.startsWith('tag:') ? h('span.tag', text.slice(4)) : { job: 'this job', server: 'the server', default: 'nobody' }[text] ?? text);
  if (!rows.length) return emptyState('Nothing.');
  return table('What is told', [
    { title: 'What', isHead: true, cell: ({ label }) => label },
    { title: 'Is', cell: ({ path }) => (path === 'channels' && values.channels === null ? 'all' : said(values[path])) },
    { title: 'As says', cell: ({ path }) => who(from[path]) },
  ], rows);
}

// Owns how the server itself does: queues, commits, targets, clients, versions, nodes beside it; and for an administrator tokens and the audit log.

import { h, refresh } from '../dom.js';
import { ask, get, may, post } from '../api.js';
import { count, millis, moment, span } from '../time.js';
import { momentField } from '../moments.js';
import { action, choice, code, facts, field, link, pager, question, section, table, tile, toast } from '../parts.js';

const EVERY_MS = 3_000;

export default async function system(context) {
  const { signal } = context;
  context.title('System');
  const load = () => Promise.all([get('/api/metrics', { limit: 1 }, signal), get('/api/targets', { limit: 20 }, signal), get('/api/nodes', {}, signal)]);
  const [info, first] = await Promise.all([get('/api/info', {}, signal), load()]);
  const figures = h('div');
  const targetPlace = h('div');
  const nodePlace = h('div');
  const draw = ([told, targets, nodes]) => {
    refresh(figures, figuresOf(told, info));
    refresh(targetPlace, targetsOf(targets));
    refresh(nodePlace, nodesOf(nodes));
  };
  draw(first);
  context.every(EVERY_MS, async () => {
    try {
      draw(await load());
    } catch { /* What concerns the whole page is said above. */ }
  });
  return [
    h('h1', 'System'), figures, nodePlace, section('Targets', targetPlace),
    ...(may('admin') ? await forAdmin(context) : [h('p.soft', 'Tokens and the audit log need the scope admin.')]),
  ];
}

function figuresOf(told, info) {
  const { scheduler, drift, late, store, workers, queues, events, refused } = told;
  const ms = percentiles => [percentiles.p50Ms, percentiles.p99Ms, percentiles.maxMs].map(millis).join(' / ');
  const refusals = Object.entries(refused).filter(([, many]) => many);
  return [
    h('div.tiles', tile('up for', span(told.uptimeSeconds * 1000)), tile('in flight', `${count(workers.inFlight)} of ${count(workers.inFlightMax)}`), tile('drift p99', millis(drift.count ? drift.p99Ms : null)),
      tile('commit p99', millis(store.commit.count ? store.commit.p99Ms : null)), tile('memory', bytes(told.process.memoryBytes)), tile('failing targets', count(scheduler.failingTargets), null, scheduler.failingTargets ? 'bad' : '')),
    h('div.columns',
      section('Server', facts([['Version', `${info.name} ${info.version}`], ['Zone data', `${info.zoneData.version}, ${info.zoneData.source}`], ['Jobs', `${count(scheduler.totalJobs)}, ${count(scheduler.activeJobs)} active, ${count(scheduler.heldJobs)} held`], ['Clock steps', count(scheduler.clockSteps)], ['Threads', `${workers.threads} of workers`], ['Connections of clients', count(told.connections)], ['Listeners', `${count(events.listeners)}; ${count(events.told)} events told, ${count(events.leftOut)} left out`], ['On disk', `${bytes(store.diskBytes)}, ${bytes(store.diskFreeBytes)} left`]])),
      section('Time', facts([['Drift p50 / p99 / most', ms(drift)], ['Late ones', late.count ? `${count(late.count)}, p99 ${millis(late.p99Ms)}` : '0'], ['Commit p50 / p99 / most', ms(store.commit)], ['Writing of it', ms(store.write)], ['Held up by housekeeping', ms(store.heldUp)]])),
      section('Queues', facts(Object.entries(queues).map(([name, many]) => [WORDS[name] ?? name, name === 'answerBytes' ? bytes(many) : count(many)]).concat([['Not yet on disk', count(store.unwritten)]]))),
      section('Connections to targets', facts([['Open', count(workers.connections)], ['Opened', count(workers.connectionsOpened)], ['Used again', count(workers.connectionsReused)], ['Sent again on a new one', count(workers.repeated)], ['Name lookups', count(workers.lookups)], ['Faults', count(workers.faults)]])),
      refusals.length ? section('Refused', facts(refusals.map(([name, many]) => [name, count(many)]))) : null),
  ];
}

const WORDS = { armed: 'Armed ahead', targets: 'Wait for a target', retries: 'Wait for a retry', policies: 'Wait for a policy', workers: 'Handed to workers', writer: 'Handed to the writer', readers: 'Questions to the disk', alerts: 'Alerts', answerBytes: 'Answers not read yet' };

function bytes(many) {
  if (many === null) return '–';
  if (many < 1024) return `${many} B`;
  const power = Math.min(3, Math.floor(Math.log2(many) / 10));
  return `${(many / 1024 ** power).toFixed(1)} ${['', 'KiB', 'MiB', 'GiB'][power]}`;
}

function targetsOf({ targets, total }) {
  return [
    table('Targets', [
      { title: 'Target', isHead: true, class: 'name', cell: one => link(`/jobs?target=${encodeURIComponent(one.target)}`, one.target) },
      { title: 'Stands', cell: one => (one.failing ? h('span.badge.failed', '✕ does not answer') : one.waiting ? h('span.badge.held', '… late') : h('span.badge.success', '● answers')) },
      { title: 'In flight', class: 'number', cell: one => count(one.inFlight) }, { title: 'Waiting', class: 'number', cell: one => count(one.waiting) },
      { title: 'Jobs', class: 'number', cell: one => count(one.jobs) }, { title: 'Stalled jobs', class: 'number wide', cell: one => count(one.stalledJobs) },
    ], targets, { empty: 'No job names a target.' }),
    total > targets.length ? h('p.soft', `the ${targets.length} that matter most, of ${count(total)}`) : null,
  ];
}

const STATES = { active: h => h('span.badge.success', '● lives'), leaving: h => h('span.badge.held', '… gives away what it has'), dead: h => h('span.badge.failed', '✕ dead') };

function nodesOf({ nodes, unownedShards, clockAheadMs, mayLoseCommits }) {
  if (!nodes.length) return [];
  return [section('Nodes',
    table('Nodes', [
      { title: 'Name', isHead: true, cell: node => [node.name, node.answers ? h('span.soft', ' (this one)') : null] },
      { title: 'Stands', cell: node => STATES[node.state](h) },
      { title: 'Parts of 256', class: 'number', cell: node => count(node.shards) },
      { title: 'Silent for', class: 'number', cell: node => (node.silentMs === undefined ? '' : millis(node.silentMs)) },
      { title: 'Fenced', class: 'number wide', cell: node => count(node.fenced) },
      { title: 'Version', class: 'wide', cell: node => node.version }, { title: 'Since', cell: node => moment(node.startedAt) },
    ], nodes, { empty: '' }),
    h('p.soft', `Figures and targets are this node's. Its clock is ${millis(Math.abs(clockAheadMs))} ${clockAheadMs < 0 ? 'behind' : 'ahead of'} the database's.`),
    unownedShards ? h('p.warning', `${count(unownedShards)} parts are no node's at the moment: nothing of them is sent.`) : null,
    mayLoseCommits ? h('p.warning', 'synchronous_commit is off in PostgreSQL: the end of its machine may lose what was acknowledged.') : null)];
}

async function forAdmin(context) {
  const { query, signal, href } = context;
  const [{ tokens }, audit] = await Promise.all([get('/api/tokens', {}, signal), get('/api/audit', { cursor: query.cursor, subject: query.subject, tokenId: query.tokenId, limit: 25 }, signal)]);
  return [
    section('Tokens', table('Tokens', [
      { title: 'Name', isHead: true, cell: token => [token.name, token.kind === 'session' ? h('span.soft', ' (browser)') : null] },
      { title: 'Scope', cell: token => token.scope },
      { title: 'Stands', cell: token => (token.active ? h('span.badge.success', '● counts') : h('span.badge.skipped', token.revokedAt ? '– revoked' : '– expired')) },
      { title: 'Last used', cell: token => moment(token.lastUsedAt) }, { title: 'Expires', cell: token => moment(token.expiresAt) },
      { title: 'Do', cell: token => (token.active ? action('Revoke', () => revoke(token, context), { kind: 'danger' }) : '') },
    ], tokens, { empty: ['There is no token: whoever reaches this server may do everything. ', h('code', 'punctual token create --scope admin --name you'), ' makes the first one; from then on it asks everybody.'] }),
    h('div.buttons', action('New token…', () => create(tokens, context)))),
    section('Audit log', query.subject || query.tokenId ? h('p', 'Only ', h('code', query.subject ?? query.tokenId), ' · ', link('/system', 'all')) : null, table('Audit log', [
      { title: 'When', isHead: true, cell: row => moment(row.at) },
      { title: 'Who', cell: row => (row.tokenId ? h('a', { href: href({ tokenId: row.tokenId, subject: null }) }, row.tokenName ?? row.tokenId) : h('span.soft', `without a token, ${row.client}`)) },
      { title: 'What', cell: row => row.operation },
      { title: 'To', cell: row => (row.subject ? h('a', { href: href({ subject: row.subject, tokenId: null }) }, h('code', row.subject.slice(-18))) : '') },
      { title: 'Answer', class: 'number', cell: row => String(row.status) },
      { title: 'Difference', cell: row => (row.difference ? h('details', h('summary', Object.keys(row.difference).join(', ') || 'none'), h('pre', { tabindex: '0', role: 'group', 'aria-label': 'Difference' }, JSON.stringify(row.difference, null, 1))) : '') },
    ], audit.audit, { empty: 'Nobody has changed anything yet.' }), pager(audit.nextCursor, Boolean(query.cursor), href)),
  ];
}

async function revoke(token, context) {
  const sure = await question(`Revoke ${token.name}?`, h('p', 'It counts no more, nor do the sessions that began with it.'), { yes: 'Revoke', kind: 'danger' });
  if (!sure) return;
  await ask('DELETE', `/api/tokens/${token.tokenId}`);
  toast(`${token.name} is revoked.`);
  context.again();
}

async function create(tokens, context) {
  // From the first token on everybody needs one, and only an administrator can make others.
  const isFirst = !tokens.some(token => token.kind === 'token');
  const name = h('input', { required: true, maxlength: 100 });
  const scope = choice(isFirst ? ['admin'] : ['read', 'write', 'admin'], isFirst ? 'admin' : 'read');
  const expires = momentField('Until (empty: until it is revoked)');
  const warning = isFirst ? h('p.warning', 'Once there is a token, everybody needs one, for good. You are signed in with this one.') : null;
  const asked = await question('New token', [field('Name', name), field('Scope', scope), expires.element, warning], {
    yes: 'Make it', read: () => ({ name: name.value, scope: scope.value, expiresAt: expires.read() }),
  });
  if (!asked) return;
  const { token } = await post('/api/tokens', asked);
  if (isFirst) await ask('POST', '/api/session', { body: { token } });
  await question('The token, shown this once', code(token, 'the token'), { yes: 'I have it', no: null, must: true });
  if (isFirst) location.reload();
  else context.again();
}

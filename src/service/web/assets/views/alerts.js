// Owns the view of what is wrong and who is told: incidents, silences, channels and policies.

import { h, paced, refresh } from '../dom.js';
import { ask, get, may } from '../api.js';
import { moment } from '../time.js';
import { incidentColumns, loadOpen, silence } from '../incidents.js';
import { channelTable, create as createChannel } from '../channels.js';
import { create as createPolicy, policyTable } from '../policies.js';
import { action, link, pager, section, table, toast } from '../parts.js';

const [OPEN_MAX, CLOSED_MAX] = [100, 20];
const EVERY_MS = 10_000;

export default async function alerts(context) {
  const { query, signal, href } = context;
  context.title('Alerts');
  const load = () => Promise.all([
    loadOpen({ limit: OPEN_MAX }, signal), get('/api/incidents', { state: 'closed', cursor: query.cursor, limit: CLOSED_MAX }, signal),
    get('/api/silences', {}, signal), get('/api/channels', {}, signal), get('/api/policies', {}, signal),
  ]);
  const live = await context.live({ type: 'incidents' });
  let [open, closed, silences, channels, policies] = await load();
  const renew = async () => {
    try {
      [open, closed, silences, channels, policies] = await load();
      draw();
    } catch { /* What concerns the whole page is said above. */ }
  };
  const opened = table('Open incidents', incidentColumns(renew), [], { stacked: true, key: one => one.incidentId, empty: 'Nothing is wrong.' });
  const more = h('p');
  const over = table('Incidents that are over', incidentColumns(), [], { stacked: true, key: one => one.incidentId, empty: 'None yet.' });
  const silenced = table('Silences', silenceColumns(renew), [], { stacked: true, key: one => one.silenceId, empty: 'Nothing is silenced.' });
  const channelPlace = channelTable([], renew);
  const policyPlace = policyTable(() => policies, renew);
  const draw = () => {
    opened.rows(open.incidents);
    refresh(more, open.nextCursor ? `the newest ${OPEN_MAX}; there are more` : null);
    over.rows(closed.incidents);
    silenced.rows(silences.silences);
    channelPlace.rows(channels.channels);
    policyPlace.draw();
  };
  draw();
  live.begin(paced(1000, renew));
  // What became of a message is no event, and neither is the end of a silence.
  context.every(EVERY_MS, renew);
  return [
    h('div.head', h('h1', 'Alerts'), link('/alerts/log', 'log of failures')),
    section('Open incidents', opened, more),
    section('Silences', silenced, may('write') ? h('div.buttons', action('New silence…', () => silence(null, renew))) : null),
    section('Channels', channelPlace, may('admin') ? h('div.buttons', action('New channel…', () => createChannel(() => channels.channels.map(one => one.name), renew))) : null),
    section('Policies', policyPlace.list, may('write') ? h('div.buttons', action('Policy of a tag…', () => createPolicy(() => policies, renew))) : null),
    section('Over', over, pager(closed.nextCursor, Boolean(query.cursor), href)),
  ];
}

const silenceColumns = done => [
  { title: 'Of', isHead: true, class: 'name', cell: ofSilence },
  { title: 'Why', class: 'reason', cell: one => one.note },
  { title: 'Until', cell: one => moment(one.endsAt) },
  { title: 'By', class: 'wide', cell: one => one.by ?? '–' },
  ...(may('write') ? [{ title: 'Do', cell: one => action('End', () => end(one, done), { kind: 'quiet', title: 'End this silence' }) }] : []),
];

function ofSilence({ jobId, tag, target }) {
  if (jobId) return ['job ', link(`/jobs/${jobId}`, jobId.slice(-12))];
  return tag ? ['tag ', link(`/jobs?tag=${encodeURIComponent(tag)}`, h('span.tag', tag))] : link(`/jobs?target=${encodeURIComponent(target)}`, target);
}

async function end({ silenceId }, done) {
  await ask('DELETE', `/api/silences/${silenceId}`);
  toast('It is told again.');
  done();
}

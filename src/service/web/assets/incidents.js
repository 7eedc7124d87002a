// Owns how an incident is shown wherever there is one, and what can be done about it: say that one knows, or have it silenced.

import { h } from './dom.js';
import { get, may, post } from './api.js';
import { moment, now } from './time.js';
import { momentField } from './moments.js';
import { action, choice, field, link, question, toast } from './parts.js';

const CAUSES = { FAILING: 'fails', NO_SUCCESS: 'no success', LATE: 'late', AUTO_PAUSED: 'paused itself', TARGET_FAILING: 'target fails', STORE_FAILING: 'store fails', DISK_NEARLY_FULL: 'disk nearly full' };

/** How it stands: a sign and a word. */
export function incidentState(incident) {
  const [kind, said] = incident.state !== 'OPEN' ? ['success', '✓ over'] : incident.acknowledged ? ['paused', '◉ acknowledged'] : incident.silencedBy ? ['held', '‖ silenced'] : ['failed', '● open'];
  return [h('span.badge', { class: kind }, said), ' ', h('span.soft', CAUSES[incident.cause] ?? incident.cause)];
}

/** What something is wrong with. */
export const called = ({ jobId, jobName, api, target }) => (jobId ? jobName ?? api?.replace(/^https?:\/\//, '') ?? jobId : target ?? 'this server');

/** The same, leading there. */
export function subject(incident) {
  const { jobId, target } = incident;
  if (jobId) return link(`/jobs/${jobId}`, called(incident));
  return target ? link(`/jobs?target=${encodeURIComponent(target)}`, target) : called(incident);
}

export const loadOpen = (query, signal) => get('/api/incidents', { state: 'open', ...query }, signal);

/** Columns of a list of them; `done` is called when something was done. */
export const incidentColumns = (done, { ofJob = false } = {}) => [
  { title: 'Opened', cell: one => moment(one.openedAt) },
  { title: 'What', isHead: true, class: 'reason', cell: one => link(`/alerts/${one.incidentId}`, one.summary) },
  ...(ofJob ? [] : [{ title: 'Of', class: 'name', cell: subject }]),
  { title: 'Stands', cell: one => [incidentState(one), one.closedAt ? [' ', moment(one.closedAt)] : null] },
  ...(may('write') && done ? [{ title: 'Do', cell: one => h('div.choices', incidentActions(one, done)) }] : []),
];

/** What can be done about one that is open. The titles keep the buttons apart where a row is only changed. */
export function incidentActions(incident, done) {
  if (incident.state !== 'OPEN' || !may('write')) return [];
  const of = incident.jobId ? { jobId: incident.jobId } : incident.target ? { target: incident.target } : null;
  return [
    incident.acknowledged ? null : action('Acknowledge…', () => acknowledge(incident, done), { kind: 'quiet', title: 'Say that somebody knows' }),
    of && !incident.silencedBy ? action('Silence…', () => silence(of, done), { kind: 'quiet', title: 'Have nothing told for some time' }) : null,
  ];
}

async function acknowledge(incident, done) {
  const note = h('input', { maxlength: 500 });
  const sure = await question('Acknowledge this incident?', [h('p', incident.summary), field('Note', note, 'It is not told again until it is over.')], {
    yes: 'Acknowledge', read: () => ({ note: note.value || undefined }), send: body => post(`/api/incidents/${incident.incidentId}/acknowledge`, body),
  });
  if (!sure) return;
  toast('It is acknowledged.');
  done();
}

/** Begins a silence, of this, or of what is written. */
export async function silence(of, done) {
  const kind = choice([['tag', 'jobs with the tag'], ['target', 'the target with the URL'], ['jobId', 'the job with the id']], 'tag');
  const which = h('input', { required: true });
  const until = momentField('Until', `${new Date(now() + 3_600_000).toISOString().slice(0, 19)}Z`, { required: true });
  const note = h('input', { required: true, maxlength: 500 });
  const sure = await question('Have nothing told?', [of ? null : [field('Of', kind), field('Which', which)], until.element, field('Why', note)], {
    yes: 'Silence', read: () => ({ ...(of ?? { [kind.value]: which.value }), endsAt: until.read(), note: note.value }), send: body => post('/api/silences', body),
  });
  if (!sure) return;
  toast('Nothing is told of it until then.');
  done();
}

// Owns the list of executions: by status, job, kind and time, and doing those again that are like this.

import { h, replace } from '../dom.js';
import { get, may, post } from '../api.js';
import { momentField } from '../moments.js';
import { count, millis, moment } from '../time.js';
import { action, choice, field, link, nameOf, pager, question, status, table, toast } from '../parts.js';

const LIMIT = 50;
const STATUSES = [['', 'any status'], ['PENDING', 'pending'], ['SUCCESS', 'succeeded'], ['FAILED', 'failed'], ['SKIPPED', 'skipped']];
const KINDS = [['', 'any kind'], 'scheduled', 'manual', 'replay', 'backfill'];

export default async function executions(context) {
  const { query, signal, go, href } = context;
  context.title('Executions');
  const { status: name, jobId, kind, from, to, cursor } = query;
  const [page, job] = await Promise.all([
    get('/api/executions', { status: name, jobId, kind, from, to, cursor, limit: LIMIT }, signal),
    jobId ? get(`/api/jobs/${jobId}`, {}, signal).catch(() => null) : null,
  ]);
  const names = await namesOf(page.executions, job, signal);
  const list = table('Executions', executionColumns({ names }), page.executions, {
    key: run => run.executionId, empty: Object.keys(query).length ? ['No execution is like this. ', link('/executions', 'Show all'), '.'] : ['Nothing has run yet. ', link('/jobs/new', 'Create a job'), '.'],
  });
  // What is newest comes in by itself, but not into a page that somebody turned to, or a time that is over.
  if (!cursor && !to) {
    context.live(events => {
      for (const event of events) {
        if (event.event === 'gap') return context.again();
        if (event.event !== 'execution') continue;
        const fits = (!kind || event.kind === kind) && (!from || event.scheduledTime >= from);
        if (fits && (!name || event.status === name)) {
          list.put(event, LIMIT);
          if (!names.has(event.jobId)) learn(event.jobId, names, signal);
        }
        else if (fits) list.querySelector(`tr[data-key="${CSS.escape(event.executionId)}"]`)?.remove();
      }
    }, { type: 'execution', jobId, ...(name === 'PENDING' || !name ? {} : { status: name }) });
  }
  const start = momentField('From', from);
  const end = momentField('To', to);
  const form = h('form.filters', { 'aria-label': 'Executions' },
    field('Status', choice(STATUSES, name ?? '', { name: 'status' })), field('Kind', choice(KINDS, kind ?? '', { name: 'kind' })),
    field('Job (id)', h('input', { name: 'jobId', value: jobId ?? '', spellcheck: 'false' })), start.element, end.element,
    h('div.field', h('button.quiet', 'Show')), Object.keys(query).length ? h('div.field', link('/executions', 'Clear')) : null);
  form.addEventListener('submit', event => {
    event.preventDefault();
    const given = Object.fromEntries(['status', 'kind', 'jobId'].map(key => [key, form.elements[key].value.trim()]));
    go(href({ ...given, from: start.read(), to: end.read() }));
  });
  for (const select of form.querySelectorAll('select')) select.addEventListener('change', () => form.requestSubmit());
  return [
    h('div.head', h('h1', 'Executions'), may('write') && name !== 'PENDING' && page.executions.length ? action('Replay these…', () => replayAll(query, context), { kind: 'quiet' }) : null),
    job ? h('p', 'of ', link(`/jobs/${jobId}`, nameOf(job))) : null,
    form, list, pager(page.nextCursor, Boolean(cursor), href),
  ];
}

/** What a job is called that came in live. It is asked once. */
async function learn(id, names, signal) {
  names.set(id, shortOf(id));
  const found = await get(`/api/jobs/${id}`, {}, signal).catch(() => null);
  if (!found) return;
  names.set(id, nameOf(found));
  for (const place of document.querySelectorAll(`[data-job="${id}"]`)) replace(place, nameOf(found));
}

const shortOf = id => `…${id.slice(-12)}`;

/** What the jobs of a page are called; of each it is asked once. */
async function namesOf(runs, job, signal) {
  const names = new Map(job ? [[job.jobId, nameOf(job)]] : []);
  const ids = [...new Set(runs.map(run => run.jobId))].filter(id => !names.has(id)).slice(0, 12);
  await Promise.all(ids.map(async id => {
    const found = await get(`/api/jobs/${id}`, {}, signal).catch(() => null);
    if (found) names.set(id, nameOf(found));
  }));
  return names;
}

export function executionColumns({ ofJob = false, names = new Map() }) {
  return [
    { title: 'Scheduled', isHead: true, cell: run => link(`/executions/${run.executionId}`, moment(run.scheduledTime)) },
    !ofJob && { title: 'Job', class: 'name', cell: run => h('a', { href: `/jobs/${run.jobId}`, dataset: { job: run.jobId } }, names.get(run.jobId) ?? shortOf(run.jobId)) },
    { title: 'Status', cell: run => [status(run.status, run.httpStatus), run.waitsFor ? h('span.soft', ` waits for ${run.waitsFor}`) : null] },
    { title: 'Kind', class: 'wide', cell: run => [run.kind, run.late ? h('span.soft', ` ${run.late}`) : null] },
    { title: 'Drift', class: 'number', cell: run => millis(run.driftMs) },
    { title: 'Duration', class: 'number', cell: run => millis(run.duration) },
    { title: 'Retries', class: 'number wide', cell: run => count(run.retryCount) },
    { title: 'Why', class: 'wide reason', cell: run => run.errorMessage ?? run.reason ?? '' },
  ].filter(Boolean);
}

async function replayAll(query, context) {
  const { status: name, jobId, from, to } = query;
  if (query.kind) return toast('Replay goes by status, job and time; clear the kind first.', 'bad');
  const asked = { status: name && name !== 'PENDING' ? name : null, jobId: jobId || null, from: from || null, to: to || null, limit: 100 };
  const plan = await post('/api/executions/replay', { ...asked, dryRun: true });
  const many = plan.count ?? plan.executionIds.length;
  if (!many) return toast('Nothing there can be replayed.', 'bad');
  const sure = await question(`Replay ${many} executions?`, h('p', `The newest ${many} that are like this are done again, as new ones with the same scheduled time.`), { yes: 'Replay them' });
  if (!sure) return;
  const told = await post('/api/executions/replay', asked);
  toast(`${count(told.executionIds.length)} are in line.`);
  context.again();
}

// Owns the list of executions: by status, job, kind and time, and doing those again that are like this.

import { h, paced, replace } from '../dom.js';
import { get, may, post } from '../api.js';
import { momentField } from '../moments.js';
import { merge } from '../runs.js';
import { count, millis, moment } from '../time.js';
import { action, choice, field, link, nameOf, pager, question, status, table, toast } from '../parts.js';

const LIMIT = 50;
const STATUSES = [['', 'any status'], ['PENDING', 'pending'], ['SUCCESS', 'succeeded'], ['FAILED', 'failed'], ['SKIPPED', 'skipped']];
const KINDS = [['', 'any kind'], 'scheduled', 'manual', 'replay', 'backfill'];

export default async function executions(context) {
  const { query, signal, go, href } = context;
  context.title('Executions');
  const { status: name, jobId, kind, from, to, cursor } = query;
  // What is newest comes in by itself, but not into a page that somebody turned to, or a time that is over.
  const live = cursor || to ? null : await context.live({ type: 'execution', jobId, ...(name === 'PENDING' || !name ? {} : { status: name }) });
  const page = await get('/api/executions', { status: name, jobId, kind, from, to, cursor, limit: LIMIT }, signal);
  const names = new Map();
  let runs = page.executions;
  await learn(runs, names, signal);
  const list = table('Executions', executionColumns({ names }), runs, {
    key: run => run.executionId, empty: Object.keys(query).length ? ['No execution is like this. ', link('/executions', 'Show all'), '.'] : ['Nothing has run yet. ', link('/jobs/new', 'Create a job'), '.'],
  });
  const nameNew = paced(2000, async () => {
    await learn(runs, names, signal);
    list.rows(runs);
  });
  const fits = run => (!kind || run.kind === kind) && (!from || run.scheduledTime >= from);
  live?.begin(events => {
    if (events.some(event => event.event === 'gap')) return context.again();
    const told = events.filter(event => event.event === 'execution' && fits(event));
    if (!told.length) return;
    runs = merge(runs, told, LIMIT).filter(run => !name || run.status === name);
    list.rows(runs);
    if (runs.some(run => !names.has(run.jobId))) nameNew();
  });
  return [
    h('div.head', h('h1', 'Executions'), may('write') && name !== 'PENDING' && runs.length ? action('Replay these…', () => replayAll(query, context), { kind: 'quiet' }) : null),
    filters(query, href, go, names.get(jobId)), list, pager(page.nextCursor, Boolean(cursor), href),
  ];
}

function filters({ status: name, jobId, kind, from, to, ...rest }, href, go, called) {
  const start = momentField('From', from);
  const end = momentField('To', to);
  const job = h('input', { name: 'jobId', value: called ?? jobId ?? '', spellcheck: 'false' });
  const said = h('p', { role: 'alert' });
  const form = h('form.filters', { 'aria-label': 'Executions' },
    field('Status', choice(STATUSES, name ?? '', { name: 'status' })), field('Kind', choice(KINDS, kind ?? '', { name: 'kind' })),
    field('Job (name or id)', job), start.element, end.element, h('div.field', h('button.quiet', 'Show')),
    [name, jobId, kind, from, to, ...Object.values(rest)].some(Boolean) ? h('div.field', link('/executions', 'Clear')) : null);
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      const wanted = job.value.trim();
      const id = wanted && wanted === called ? jobId : await idOf(wanted);
      go(href({ status: form.elements.status.value, kind: form.elements.kind.value, jobId: id, from: start.read(), to: end.read() }));
    } catch (why) {
      said.className = 'error';
      replace(said, why.message);
      job.focus();
    }
  });
  for (const select of form.querySelectorAll('select')) select.addEventListener('change', () => form.requestSubmit());
  return [form, said];
}

/** The id of the job that is called so. */
async function idOf(wanted) {
  if (!wanted || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(wanted)) return wanted;
  const { jobs } = await get('/api/jobs', { q: wanted, limit: 100 });
  const found = jobs.find(job => job.name === wanted) ?? (jobs.length === 1 ? jobs[0] : null);
  if (!found) throw new Error(jobs.length ? `${jobs.length} jobs have "${wanted}" in their name, URL or owner; write the whole name` : `No job is called "${wanted}"`);
  return found.jobId;
}

/** What the jobs of these executions are called: all that are not known in one question. */
async function learn(runs, names, signal) {
  const ids = [...new Set(runs.map(run => run.jobId))].filter(id => !names.has(id)).slice(0, 50);
  if (!ids.length) return;
  try {
    const { strips } = await get('/api/strips', { jobId: ids.join(','), limit: 1 }, signal);
    for (const { jobId, name, api } of strips) names.set(jobId, api ? nameOf({ name, api }) : `deleted (…${jobId.slice(-6)})`);
  } catch {
    signal.throwIfAborted();
  }
}

export function executionColumns({ ofJob = false, names = new Map() }) {
  return [
    { title: 'Scheduled', isHead: true, cell: run => link(`/executions/${run.executionId}`, moment(run.scheduledTime)) },
    !ofJob && { title: 'Job', class: 'name', cell: run => link(`/jobs/${run.jobId}`, names.get(run.jobId) ?? `…${run.jobId.slice(-12)}`) },
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
  toast(`${count(told.executionIds.length)} are in line.${many === asked.limit ? ' There may be more like this: replay again.' : ''}`);
  context.again();
}

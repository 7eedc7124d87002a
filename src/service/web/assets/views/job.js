// Owns the view of one job: how it does, what comes next, what it sends, and what can be done with it.

import { h, paced, refresh, replace } from '../dom.js';
import { ask, get, getJob, may, post } from '../api.js';
import { merge, p99 } from '../runs.js';
import { strip } from '../charts.js';
import { toCurl } from '../curl.js';
import { toYaml } from '../yaml.js';
import { describe, preview } from '../schedule.js';
import { count, countdown, millis, moment, span, text } from '../time.js';
import { action, code, emptyState, facts, jobState, link, nameOf, question, section, status, table, tabs, tile, toast } from '../parts.js';
import { executionColumns } from './executions.js';
import { askMoment, momentField } from '../moments.js';
import { incidentColumns, loadOpen, silence } from '../incidents.js';
import { effective } from '../policies.js';
import { history } from './history.js';
import { why } from './why.js';

const RUNS = 60;
const ROWS = 25;

export default async function job(context) {
  const { params: { id }, signal } = context;
  const live = await context.live({ type: 'execution,job,incidents', jobId: id });
  const [{ job: first, etag }, page, strips] = await Promise.all([
    getJob(id, signal), get(`/api/jobs/${id}/executions`, { limit: ROWS }, signal), get('/api/strips', { jobId: id, limit: RUNS }, signal),
  ]).catch(why => {
    if (why.status === 404) throw Object.assign(why, { more: ['Perhaps it is deleted: ', link(`/executions?jobId=${id}`, 'its history'), ' stays.'] });
    throw why;
  });
  const state = { job: first, runs: strips.strips[0].runs, executions: page.executions, etag };
  context.title(nameOf(first));

  const stand = h('span');
  const buttons = h('div.buttons');
  const tiles = h('div.tiles');
  const stripPlace = h('div');
  const nextPlace = h('div');
  const rows = table('Executions', executionColumns({ ofJob: true }), page.executions, { key: run => run.executionId, empty: 'It has not run yet.' });
  const words = h('p.words', first.schedule ?? 'once');

  const drawStrip = () => refresh(stripPlace, state.runs.length ? strip(state.runs, RUNS) : emptyState('It has not run yet.'));
  let offered = '';
  const draw = () => {
    const { job } = state;
    refresh(stand, jobState(job), job.paused ? pauseText(job.paused) : null);
    // Not while nothing else can be done: a click that has begun would be lost with its button.
    const offer = JSON.stringify([job.paused, job.held]);
    if (offer !== offered) replace(buttons, actions(state, context));
    offered = offer;
    refresh(tiles, tilesOf(state));
    drawStrip();
  };
  const drawNext = () => nextTen(state.job, signal).then(shown => refresh(nextPlace, shown), problem => replace(nextPlace, h('p.error', problem.message)));
  const renew = paced(2000, async () => {
    try {
      const fresh = await getJob(id, signal);
      const before = state.job;
      // What it is has changed: all of this is about another job.
      if (JSON.stringify(definitionOf(before)) !== JSON.stringify(definitionOf(fresh.job))) return context.again();
      Object.assign(state, fresh);
      draw();
      if (before.nextExecution !== state.job.nextExecution) drawNext();
    } catch (problem) {
      if (problem.status === 404) context.again();
    }
  });
  live.begin(events => {
    if (events.some(event => event.event === 'gap')) return context.again();
    if (events.some(event => event.event.startsWith('incident'))) alerts.renew();
    const ran = events.filter(event => event.event === 'execution');
    state.runs = merge(state.runs, ran, RUNS);
    state.executions = merge(state.executions, ran, ROWS);
    rows.rows(state.executions);
    drawStrip();
    renew();
  });
  draw();
  drawNext();
  describe(first, signal).then(said => { words.textContent = said; }, () => {});
  const charts = history(context, first);
  const alerts = alertsOf(first, signal);
  return [
    h('p.crumbs', link('/jobs', 'Jobs'), ' / '),
    h('div.head', h('h1', nameOf(first)), stand), buttons, words, warnings(first), tiles,
    section(`The last ${RUNS} runs`, stripPlace), charts,
    h('div.columns', section('Next ten', nextPlace), section('Why did it not run?', why(context, first))),
    section('Executions', rows, h('p', link(`/executions?jobId=${id}`, 'all of them'), ' · ', link(`/executions?jobId=${id}&status=FAILED`, 'failed'), ' · ', link(`/executions?jobId=${id}&status=SKIPPED`, 'skipped'))),
    section('Alerts', alerts.element),
    h('div.columns', section('What is sent', requestOf(first)), section('What it is', policiesOf(first))),
  ];
}

/** Scheme, host and port of a job's URL, as incidents name them. A browser refuses to read some that jobs may have. */
function targetOf(api) {
  const [, scheme, authority] = /^(https?):\/\/([^/?#]*)/i.exec(api);
  const port = scheme.toLowerCase() === 'https' ? ':443' : ':80';
  return `${scheme}://${authority}${/:\d+$/.test(authority) ? '' : port}`.toLowerCase();
}

/** What is wrong with it, whether that is told, and by whose policy. */
function alertsOf(job, signal) {
  const [open, silenced, policy] = [h('div'), h('div'), h('div')];
  const target = targetOf(job.api);
  const covers = one => one.jobId === job.jobId || job.tags?.includes(one.tag) || one.target === target;
  const list = table('Open incidents', incidentColumns(() => renew(), { ofJob: true }), [], { stacked: true, key: one => one.incidentId });
  const renew = async () => {
    try {
      const [{ incidents }, { silences }, told] = await Promise.all([loadOpen({ job: job.jobId, limit: 20 }, signal), get('/api/silences', {}, signal), get(`/api/jobs/${job.jobId}/policy`, {}, signal)]);
      list.rows(incidents);
      refresh(silenced, silences.filter(covers).map(one => h('p.warning', 'Nothing is told until ', moment(one.endsAt), `: ${one.note}`)));
      refresh(policy, effective(told));
      if (incidents.length && !list.isConnected) replace(open, list);
      else if (!incidents.length) replace(open, emptyState('No incident is open.'));
    } catch (problem) {
      if (!signal.aborted) replace(policy, h('p.error', problem.message));
    }
  };
  renew();
  const buttons = may('write') ? h('div.buttons', action('Silence…', () => silence({ jobId: job.jobId }, renew), { kind: 'quiet' }), link('/alerts', 'all alerts')) : null;
  return { renew, element: [open, silenced, buttons, h('details', h('summary', 'What is told of it'), policy)] };
}

function pauseText({ reason, note, until, since }) {
  return h('span.soft', ' since ', moment(since), until ? [' until ', moment(until)] : null, reason || note ? `: ${reason ?? note}` : null);
}

function warnings(job) {
  if (job.held) return h('p.warning', 'The server\'s clock stepped back behind what this job has sent. It waits until that time has come again, or until it is released.');
  return null;
}

function tilesOf({ job, executions }) {
  const { stats, lastOutcome } = job;
  const ended = stats.success + stats.failed;
  const of = query => `/executions?jobId=${job.jobId}${query}`;
  return [
    tile('next', job.nextExecution ? countdown(job.nextExecution) : 'never'),
    tile('last outcome', lastOutcome ? status(lastOutcome.status, lastOutcome.httpStatus) : 'not yet', of('')),
    tile(ended ? `succeeded, ${percent(stats.success / ended)}` : 'succeeded', count(stats.success), of('&status=SUCCESS')),
    tile('failed', count(stats.failed), of('&status=FAILED'), stats.failed ? 'bad' : ''),
    tile('skipped', count(stats.skipped), of('&status=SKIPPED')),
    tile(`drift p99, last ${executions.length || ''} runs`, millis(p99(executions))),
    tile('average duration', millis(stats.avgDuration)),
  ];
}

/** Never all of them if one is missing. */
const percent = part => `${(Math.floor(part * 1000) / 10).toFixed(part === 1 ? 0 : 1)} %`;

async function nextTen(job, signal) {
  if (job.paused && !job.paused.until) return emptyState('It is paused: nothing is due until it is resumed.');
  if (!job.nextExecution) return emptyState('It is never due again.');
  const told = await preview(job, { count: 10, from: job.nextExecution }, signal);
  return [instants(told, job), told.warnings.map(warning => h('p.warning', warning))];
}

/** A table of when something is due: in the job's zone, where the reader is, and in UTC; each zone once. */
export function instants(told, job) {
  const own = job.timeZone ?? 'UTC';
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const columns = [{ title: own, isHead: true, cell: ({ local, remark }) => [h('span', local.replace('T', ' ').replace('+00:00', '')), remark ? h('div.remark', remark.message) : null] }];
  if (here !== own) columns.push({ title: 'here', cell: ({ time }) => h('time', { datetime: time, title: here }, text(time, 's', false, true)) });
  if (own !== 'UTC' && here !== 'UTC') columns.push({ title: 'UTC', cell: ({ time }) => h('time', { datetime: time }, text(time, 's', true, true)) });
  columns.push({ title: 'In', cell: ({ time }) => countdown(time) });
  return table('Next instants', columns, told.instants, { empty: 'It is never due.' });
}

function actions(state, context) {
  const { job } = state;
  const at = `/api/jobs/${job.jobId}`;
  const change = async (verb, body, said) => {
    await ask('POST', `${at}/${verb}`, { body: body ?? {} });
    toast(said);
    context.again();
  };
  return [
    action('Run now', () => run(job), { scope: 'write' }),
    job.paused
      ? action('Resume…', () => resume(change), { scope: 'write' })
      : action('Pause…', () => pause(change), { scope: 'write', kind: 'quiet' }),
    job.held ? action('Release', () => change('release', null, 'It goes on.'), { scope: 'write' }) : null,
    job.schedule ? action('Backfill…', () => backfill(job), { scope: 'write', kind: 'quiet' }) : null,
    may('write') ? h('a.button.quiet', { href: `/jobs/${job.jobId}/edit` }, 'Edit') : null,
    may('write') ? h('a.button.quiet', { href: `/jobs/new?from=${job.jobId}` }, 'Copy') : null,
    action('Delete', async () => {
      const sure = await question(`Delete ${nameOf(job)}?`, h('p', 'It is sent no more. Its history stays readable.'), { yes: 'Delete', kind: 'danger' });
      if (!sure) return;
      await ask('DELETE', at, { headers: state.etag ? { 'If-Match': state.etag } : {} });
      toast(`${nameOf(job)} is deleted.`);
      context.go('/jobs');
    }, { scope: 'write', kind: 'danger' }),
  ];
}

async function run(job) {
  const { executionId } = await post(`/api/jobs/${job.jobId}/run`);
  toast('Its run has begun:', 'good', link(`/executions/${executionId}`, 'see it'));
}

async function pause(change) {
  const until = momentField('Until (empty: until it is resumed)');
  const note = h('input', { maxlength: 500 });
  const answer = await question('Pause this job?', [until.element, h('div.field', h('label', 'Why', note))], {
    yes: 'Pause', read: () => ({ until: until.read(), note: note.value || null }),
  });
  if (answer) await change('pause', answer, answer.until ? 'It rests until then.' : 'It rests.');
}

async function resume(change) {
  const missed = h('input', { type: 'checkbox' });
  const answer = await question('Resume this job?', [h('label.check', missed, ' What it was due for meanwhile counts as missed, so that its misfire policy decides')], { yes: 'Resume', read: () => ({ missed: missed.checked }) });
  if (answer) await change('resume', answer, 'It goes on.');
}

async function backfill(job) {
  const range = await askMoment('Backfill: run it for times that have passed', ['from', 'to'], 'Look what that is');
  if (!range) return;
  const at = `/api/jobs/${job.jobId}/backfill`;
  const plan = await post(at, { ...range, dryRun: true });
  const times = plan.scheduledTimes ?? [];
  if (!times.length) return toast('It was not due in that time.', 'bad');
  const sure = await question(`Run it ${times.length} times?`, [h('p', 'For ', text(times[0], 's', undefined, true), ' to ', text(times.at(-1), 's', undefined, true), ', one after the other, behind what is due.')], { yes: 'Run them' });
  if (!sure) return;
  const told = await post(at, range);
  toast(`${count(told.executionIds.length)} runs are in line.`);
}

/** A job as it is written, without what the server says of it. */
export function definitionOf(job) {
  const { jobId, createdAt, updatedAt, nextExecution, stats, lastOutcome, paused, held, ...definition } = job;
  return definition;
}

function requestOf(job) {
  const { active, ...definition } = definitionOf(job);
  return tabs('What is sent', [
    ['curl', () => code(toCurl(job), 'the request as curl')],
    ['YAML', () => code(toYaml(definition), 'the job as YAML')],
    ['JSON', () => code(JSON.stringify(definition, null, 2), 'the job as JSON')],
  ]);
}

const MEANS = {
  ATLEAST_ONCE: 'at least once: repeated until it succeeds or its retries are used up, and after a crash',
  ATMOST_ONCE: 'at most once: never sent again where it may have arrived',
};

function policiesOf(job) {
  const { retry, misfire, concurrencyKey } = job;
  const list = values => values?.join(', ');
  const ms = value => (value === undefined ? null : span(value));
  const parts = pairs => pairs.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => `${name} ${value}`).join(', ');
  return facts([
    ['Id', h('code', job.jobId)], job.owner && ['Owner', job.owner],
    job.tags?.length && ['Tags', job.tags.map(tag => [link(`/jobs?tag=${encodeURIComponent(tag)}`, h('span.tag', tag)), ' '])],
    ['Target', link(`/jobs?target=${encodeURIComponent(targetOf(job.api))}`, job.api)],
    job.schedule && ['Schedule', h('code', job.schedule)], job.runAt && ['Once at', moment(job.runAt)],
    ['Zone', job.timeZone ?? 'UTC'], job.dst && ['Clock changes', parts(Object.entries(job.dst))],
    job.spreadSeconds && ['Spread', `over ${job.spreadSeconds} s, seed ${job.spreadSeed}`],
    (job.startsAt || job.endsAt) && ['Only', job.startsAt ? ['from ', moment(job.startsAt)] : '', job.endsAt ? [' until ', moment(job.endsAt)] : ''],
    job.maxRuns && ['At most', `${count(job.maxRuns)} runs`],
    (job.excludeDates || job.excludeCalendars) && ['Not on', list([...(job.excludeDates ?? []), ...(job.excludeCalendars ?? [])])],
    ['Delivery', MEANS[job.type]],
    retry && ['Retry', parts([['at most', retry.maxAttempts && `${retry.maxAttempts} attempts`], ['first after', ms(retry.initialDelayMs)], ['times', retry.multiplier], ['never later than', ms(retry.maxDelayMs)], ['jitter', retry.jitter], ['in all', ms(retry.maxElapsedMs)], ['on', list(retry.on)], ['until the next instant:', retry.untilNext]])],
    ['Overlap', { skip: 'skipped while another one runs', queue_one: 'one waits while another one runs' }[job.overlap] ?? 'allowed'],
    misfire && ['Missed', parts(Object.entries(misfire))],
    concurrencyKey && ['Shares', parts(Object.entries(concurrencyKey))],
    job.timeoutMs && ['Timeout', millis(job.timeoutMs)], job.success && ['Success is', list(job.success)],
    job.autoPauseAfter && ['Pauses itself', `after ${job.autoPauseAfter} failures in a row`], job.pauseOn && ['Paused by', list(job.pauseOn)],
    job.signingSecret && ['Signed', 'by Standard Webhooks'],
    ['Created', moment(job.createdAt)], ['Changed', moment(job.updatedAt)],
  ]);
}

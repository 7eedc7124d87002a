// Owns the overview: how things are in one sentence, what happens just now, what comes next, and what needs somebody.

import { h, paced, refresh } from '../dom.js';
import { get } from '../api.js';
import { bars, outcomes } from '../charts.js';
import { count, countdown, millis, moment, now, text } from '../time.js';
import { called, incidentState, loadOpen } from '../incidents.js';
import { emptyState, jobState, link, nameOf, section, table, tile } from '../parts.js';

const SECONDS = 60;
const RECENT_MAX = 500;
/** How many of each kind that needs somebody are counted, and how many of them are named. */
const [COUNTED, NAMED] = [20, 5];
/** How long behind a full second its figures are asked for: by then most of what was due then has ended. */
const BEHIND_MS = 400;

export default async function home(context) {
  const { signal } = context;
  context.title('');
  // Executions come in numbers, from the metrics: a busy server has too many of them to tell one by one.
  const live = await context.live({ type: 'job,target,notice,incidents' });
  const [metrics, hour, recent, attention] = await Promise.all([
    get('/api/metrics', { limit: 20 }, signal), get('/api/timeline', {}, signal), loadRecent(signal), loadAttention(signal),
  ]);
  const state = { metrics, hour, attention, notices: [], seconds: countedBefore(recent), samples: [{ at: performance.now(), attempts: metrics.executions.attempts }] };

  const sentence = h('p.sentence');
  const tiles = h('div.tiles');
  const strip = h('div');
  const next = h('div');
  const needs = h('div');
  const draw = () => {
    refresh(sentence, sayHow(state));
    refresh(tiles, tilesOf(state));
    refresh(strip, stripOf(state.seconds));
    refresh(next, nextOf(state.metrics.jobs));
    refresh(needs, attentionOf(state));
  };
  const loadRest = async () => {
    try {
      [state.hour, state.attention] = await Promise.all([get('/api/timeline', {}, signal), loadAttention(signal)]);
      draw();
    } catch { /* What concerns the whole page is said above. */ }
  };
  const soon = paced(3000, loadRest);
  const beat = async () => {
    try {
      const told = await get('/api/metrics', { limit: 20 }, signal);
      const before = state.metrics.executions;
      const restarted = told.uptimeSeconds < state.metrics.uptimeSeconds;
      note(state, told, restarted);
      if (restarted || told.executions.failed > before.failed || hasAttention(state) && told.executions.success > before.success) soon();
      draw();
    } catch { /* The same. */ }
  };
  let timer = 0;
  const tick = () => {
    timer = setTimeout(async () => {
      if (signal.aborted) return;
      if (!document.hidden) await beat();
      tick();
    }, 1000 - (now() - BEHIND_MS) % 1000);
  };
  signal.addEventListener('abort', () => clearTimeout(timer));
  tick();
  context.every(30_000, loadRest);
  live.begin(events => {
    for (const event of events) {
      if (event.event === 'overload') state.notices.unshift({ at: now(), said: `More is due than the targets take: ${count(event.instants)} instants were passed over.` });
      if (event.event === 'clockStep') state.notices.unshift({ at: now(), said: `The server's clock stepped by ${millis(event.byMs)}; ${count(event.heldJobs)} jobs are held.` });
    }
    state.notices.length = Math.min(state.notices.length, 3);
    soon();
  });
  draw();
  return [
    h('h1', 'Overview'), sentence, tiles,
    section('The last 60 seconds', strip, outcomes()),
    h('div.columns', section('Needs attention', needs), section('Next to fire', next)),
  ];
}

async function loadRecent(signal) {
  const from = `${new Date(Math.floor(now() / 1000 - SECONDS) * 1000).toISOString().slice(0, 19)}Z`;
  const { executions } = await get('/api/executions', { from, limit: RECENT_MAX }, signal);
  // Of more than that many the older ones are not known, and a minute that looks idle would be wrong.
  return executions.length < RECENT_MAX ? executions : null;
}

/** What ended in the minute before, by the second in which it was sent; null where that is not known. */
function countedBefore(recent) {
  const seconds = new Map();
  for (const execution of recent ?? []) {
    if (execution.status === 'PENDING') continue;
    const second = Math.floor(Date.parse(execution.executedTime ?? execution.scheduledTime) / 1000);
    const counts = seconds.get(second) ?? { success: 0, failed: 0, skipped: 0 };
    counts[execution.status.toLowerCase()] += 1;
    seconds.set(second, counts);
  }
  return { bySecond: seconds, knownFrom: recent ? 0 : Math.floor(now() / 1000) };
}

/** Takes in what the metrics have counted since they were last asked. */
function note(state, metrics, restarted) {
  const { bySecond } = state.seconds;
  const second = Math.floor((now() - BEHIND_MS) / 1000);
  const before = restarted ? { success: 0, failed: 0, skipped: 0 } : state.metrics.executions;
  const counts = bySecond.get(second) ?? { success: 0, failed: 0, skipped: 0 };
  for (const name of ['success', 'failed', 'skipped']) counts[name] += Math.max(0, metrics.executions[name] - before[name]);
  bySecond.set(second, counts);
  for (const old of bySecond.keys()) if (old < second - 2 * SECONDS) bySecond.delete(old);
  if (restarted) state.samples = [];
  state.samples.push({ at: performance.now(), attempts: metrics.executions.attempts });
  state.samples = state.samples.slice(-10);
  state.metrics = metrics;
}

async function loadAttention(signal) {
  const of = async state => {
    const page = await get('/api/jobs', { state, limit: COUNTED }, signal);
    return { jobs: page.jobs, more: page.nextCursor !== null };
  };
  const [failing, held, autoPaused, targets, incidents] = await Promise.all([of('failing'), of('held'), of('autoPaused'), get('/api/targets', { limit: NAMED }, signal), loadOpen({ limit: COUNTED }, signal)]);
  return { incidents, failing, held, autoPaused, targets: targets.targets.filter(target => target.failing || target.waiting > target.retries || target.stalledJobs > 0) };
}

const hasAttention = ({ attention }) => attention.incidents.incidents.length + attention.failing.jobs.length + attention.held.jobs.length + attention.targets.length > 0;

function stripOf({ bySecond, knownFrom }) {
  const last = Math.floor((now() - BEHIND_MS) / 1000);
  let sum = 0;
  const points = Array.from({ length: SECONDS }, (_, place) => {
    const second = last - SECONDS + 1 + place;
    const { success, failed, skipped } = bySecond.get(second) ?? { success: 0, failed: 0, skipped: 0 };
    sum += success + failed;
    const title = second < knownFrom ? 'before this page was opened' : `${text(new Date(second * 1000).toISOString())}: ${success} succeeded, ${failed} failed, ${skipped} skipped`;
    return { title, parts: [['failed', failed], ['success', success], ['skipped', skipped]] };
  });
  const since = knownFrom > last - SECONDS ? ' since this page was opened' : '';
  return [bars(points, `${count(sum)} executions ended in the last 60 seconds`, { height: 70 }), h('p.soft', `${count(sum)} ended${since}`)];
}

/** The server counts minutes in memory: what it says of the last hour begins with its start. */
const inHour = hour => (hour.countedSince ? 'since the start' : 'in the last hour');
const failedOf = hour => hour.past.reduce((sum, minute) => sum + minute.failed, 0);
const endedOf = hour => hour.past.reduce((sum, minute) => sum + minute.failed + minute.success, 0);

function sayHow({ metrics, hour, attention }) {
  if (!metrics.scheduler.totalJobs) return 'There is no job yet.';
  const bad = [];
  const say = ({ jobs, more }, one, many) => {
    if (jobs.length) bad.push(jobs.length === 1 ? one : `${more ? 'more than ' : ''}${jobs.length} ${many}`);
  };
  say(attention.failing, 'one job is failing', 'jobs are failing');
  say(attention.held, 'one job is held', 'jobs are held');
  say(attention.autoPaused, 'one job paused itself', 'jobs paused themselves');
  const targets = metrics.scheduler.failingTargets;
  if (targets) bad.push(`${count(targets)} ${targets === 1 ? 'target does' : 'targets do'} not answer`);
  const open = attention.incidents.incidents.length;
  if (open && !bad.length) bad.push(open === 1 ? 'one incident is open' : `${open} incidents are open`);
  const failed = failedOf(hour);
  const ended = `${count(endedOf(hour))} executions ${inHour(hour)}, ${failed ? `${count(failed)} of them failed` : 'none failed'}`;
  const active = `${count(metrics.scheduler.activeJobs)} active ${metrics.scheduler.activeJobs === 1 ? 'job' : 'jobs'}`;
  return bad.length ? `${capital(bad.join(', '))}; ${active}, ${ended}.` : `All is well: ${active}, ${ended}.`;
}

const capital = said => said[0].toUpperCase() + said.slice(1);

/** Over the last ten seconds, or of the minute before as long as there are none. */
function rateOf({ samples, seconds }) {
  const [first, last] = [samples[0], samples.at(-1)];
  if (samples.length > 1) return (last.attempts - first.attempts) / ((last.at - first.at) / 1000);
  if (seconds.knownFrom) return null;
  return [...seconds.bySecond.values()].reduce((sum, counts) => sum + counts.success + counts.failed, 0) / SECONDS;
}

function tilesOf(state) {
  const { metrics, hour, attention: { incidents } } = state;
  const since = `${new Date(now() - 3_600_000).toISOString().slice(0, 16)}:00Z`;
  const [failed, rate] = [failedOf(hour), rateOf(state)];
  return [
    tile('fires a second', rate === null ? '…' : rate < 10 ? rate.toFixed(1) : count(Math.round(rate)), '/executions'),
    tile('drift p50, since the start', millis(metrics.drift.count ? metrics.drift.p50Ms : null), '/system'),
    tile('drift p99, since the start', millis(metrics.drift.count ? metrics.drift.p99Ms : null), '/system'),
    tile(`failed ${inHour(hour)}`, count(failed), `/executions?status=FAILED&from=${since}`, failed ? 'bad' : ''),
    tile('under way', count(metrics.scheduler.activeExecutions), '/executions?status=PENDING'),
    tile('jobs', count(metrics.scheduler.totalJobs), '/jobs'),
    tile('open incidents', `${count(incidents.incidents.length)}${incidents.nextCursor ? '+' : ''}`, '/alerts', incidents.incidents.length ? 'bad' : ''),
  ];
}

function nextOf(list) {
  if (!list.length) return emptyState(['Nothing is due. ', link('/jobs/new', 'Create a job'), ' to see it here.']);
  return table('The next jobs to fire', [
    { title: 'Job', isHead: true, class: 'name', cell: job => link(`/jobs/${job.jobId}`, nameOf(job)) },
    { title: 'When', cell: job => countdown(job.nextExecution) },
    { title: 'At', class: 'wide', cell: job => moment(job.nextExecution) },
  ], list);
}

function attentionOf({ attention: { incidents, failing, held, autoPaused, targets }, notices }) {
  const group = ({ jobs, more }, state, said) => jobs.length && [
    jobs.slice(0, NAMED).map(job => h('li', link(`/jobs/${job.jobId}`, nameOf(job)), ' ', jobState(job), job.paused?.reason ? h('span.soft', ` ${job.paused.reason}`) : null,
      state === 'failing' && job.lastOutcome ? h('span.soft', ' ', moment(job.lastOutcome.scheduledTime)) : null)),
    more || jobs.length > NAMED ? h('li', link(`/jobs?state=${state}`, `all that are ${said}`)) : null,
  ];
  const late = targets.map(target => h('li', link(`/jobs?target=${encodeURIComponent(target.target)}`, target.target), ' ',
    h('span.badge', { class: target.failing ? 'failed' : 'held' }, target.failing ? '✕ does not answer' : '… late'), h('span.soft', ` ${count(target.waiting)} waiting, ${count(target.retries)} of them for a retry`)));
  const told = notices.map(({ at, said }) => h('li', h('span.badge.held', '! '), said, h('span.soft', ' ', moment(new Date(at).toISOString()))));
  const open = incidents.incidents.slice(0, NAMED).map(one => h('li', incidentState(one), ' ', link(`/alerts/${one.incidentId}`, called(one), ': ', one.summary), h('span.soft', ' ', moment(one.openedAt))));
  if (incidents.incidents.length > NAMED) open.push(h('li', link('/alerts', 'all open incidents')));
  const all = [told, open, group(failing, 'failing', 'failing'), group(held, 'held', 'held'), group(autoPaused, 'autoPaused', 'paused by themselves'), late].filter(part => part && part.length !== 0);
  return all.length ? h('ul.plain', all) : emptyState('Nothing.');
}

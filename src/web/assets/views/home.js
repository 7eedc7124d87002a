// Owns the overview: how things are in one sentence, what happens just now, what comes next, and what needs somebody.

import { h, paced, replace } from '../dom.js';
import { get } from '../api.js';
import { bars, redrawing } from '../charts.js';
import { count, countdown, millis, moment, now, text } from '../time.js';
import { emptyState, jobState, link, nameOf, section, table, tile } from '../parts.js';

const SECONDS = 60;
const RECENT_MAX = 500;
const METRICS_EVERY_MS = 2_000;

export default async function home(context) {
  context.title('');
  const [first, hour, recent, attention] = await Promise.all([
    get('/api/metrics', { limit: 20 }, context.signal), get('/api/timeline', {}, context.signal), loadRecent(context.signal), loadAttention(context.signal),
  ]);
  const state = { metrics: first, hour, attention, rate: recent.length < RECENT_MAX ? recent.length / SECONDS : null, at: performance.now(), leftOut: 0 };
  const seconds = new Map();
  recent.forEach(execution => note(seconds, execution));

  const sentence = h('p.sentence', { role: 'status' });
  const tiles = h('div.tiles');
  const strip = h('div');
  const next = h('div');
  const needs = h('div');
  const drawStrip = redrawing(strip, () => stripOf(seconds, state.leftOut));
  const draw = () => {
    replace(sentence, sayHow(state));
    replace(tiles, tilesOf(state));
    replace(next, nextOf(state.metrics.jobs));
    replace(needs, attentionOf(state.attention));
  };

  const loadMetrics = async () => {
    const metrics = await get('/api/metrics', { limit: 20 }, context.signal);
    const at = performance.now();
    state.rate = (metrics.executions.attempts - state.metrics.executions.attempts) / ((at - state.at) / 1000);
    Object.assign(state, { metrics, at });
    draw();
  };
  const quietly = load => async () => {
    try {
      await load();
    } catch { /* What concerns the whole page is said above. */ }
  };
  const loadRest = quietly(async () => {
    [state.hour, state.attention] = await Promise.all([get('/api/timeline', {}, context.signal), loadAttention(context.signal)]);
    draw();
  });
  const soon = paced(3000, loadRest);
  context.every(METRICS_EVERY_MS, quietly(loadMetrics));
  context.every(30_000, loadRest);
  context.every(1000, drawStrip);
  context.live(events => {
    for (const event of events) {
      if (event.event === 'gap') loadRecent(context.signal).then(found => (seconds.clear(), found.forEach(execution => note(seconds, execution))), () => {});
      else if (event.event === 'sampled') state.leftOut += event.leftOut;
      else if (event.event === 'execution') note(seconds, event);
      if (event.event === 'job' || event.event === 'target' || event.status === 'FAILED') soon();
    }
    drawStrip();
  });
  draw();
  replace(strip, stripOf(seconds, 0));
  return [
    h('h1', 'Overview'), sentence, tiles,
    section('The last 60 seconds', strip),
    h('div.columns', section('Needs attention', needs), section('Next to fire', next)),
  ];
}

async function loadRecent(signal) {
  const from = new Date(Math.floor(now() / 1000 - SECONDS) * 1000).toISOString();
  return (await get('/api/executions', { from, limit: RECENT_MAX }, signal)).executions;
}

async function loadAttention(signal) {
  const of = async state => {
    const page = await get('/api/jobs', { state, limit: 6 }, signal);
    return { jobs: page.jobs.slice(0, 5), more: page.jobs.length > 5 || page.nextCursor !== null };
  };
  const [failing, held, autoPaused, targets] = await Promise.all([of('failing'), of('held'), of('autoPaused'), get('/api/targets', { limit: 5 }, signal)]);
  return { failing, held, autoPaused, targets: targets.targets.filter(target => target.failing || target.waiting > 0 || target.stalledJobs > 0) };
}

/** What ended counts in the second in which it was sent. */
function note(seconds, execution) {
  if (execution.status === 'PENDING') return;
  const second = Math.floor(Date.parse(execution.executedTime ?? execution.scheduledTime) / 1000);
  const counts = seconds.get(second) ?? { success: 0, failed: 0, skipped: 0 };
  counts[execution.status.toLowerCase()] += 1;
  seconds.set(second, counts);
  if (seconds.size > 3 * SECONDS) {
    for (const old of seconds.keys()) if (old < now() / 1000 - 2 * SECONDS) seconds.delete(old);
  }
}

function stripOf(seconds, leftOut) {
  const last = Math.floor(now() / 1000);
  let sum = 0;
  const points = Array.from({ length: SECONDS }, (_, place) => {
    const second = last - SECONDS + 1 + place;
    const { success, failed, skipped } = seconds.get(second) ?? { success: 0, failed: 0, skipped: 0 };
    sum += success + failed;
    const title = `${text(new Date(second * 1000).toISOString())}: ${success} succeeded, ${failed} failed, ${skipped} skipped`;
    return { title, parts: [['success', success], ['failed', failed], ['skipped', skipped]] };
  });
  return [
    bars(points, `${count(sum)} executions ended in the last 60 seconds`, { height: 70 }),
    h('p.soft', `${count(sum)} ended`, leftOut ? `; ${count(leftOut)} more events were too many to be told one by one` : ''),
  ];
}

/** The server counts minutes in memory: what it says of the last hour begins with its start. */
const inHour = hour => (hour.countedSince ? 'since the start' : 'in the last hour');
const failedOf = hour => hour.past.reduce((sum, minute) => sum + minute.failed, 0);
const endedOf = hour => hour.past.reduce((sum, minute) => sum + minute.failed + minute.success, 0);

function sayHow({ metrics, hour, attention }) {
  if (!metrics.scheduler.totalJobs) return 'There is no job yet.';
  const bad = [];
  const say = (group, one, many) => {
    if (group.jobs.length) bad.push(group.jobs.length === 1 ? one : `${group.more ? 'more than ' : ''}${group.jobs.length} ${many}`);
  };
  say(attention.failing, 'one job is failing', 'jobs are failing');
  say(attention.held, 'one job is held', 'jobs are held');
  say(attention.autoPaused, 'one job paused itself', 'jobs paused themselves');
  if (metrics.scheduler.failingTargets) bad.push(`${count(metrics.scheduler.failingTargets)} ${metrics.scheduler.failingTargets === 1 ? 'target does' : 'targets do'} not answer`);
  const failed = failedOf(hour);
  const ended = `${count(endedOf(hour))} executions ${inHour(hour)}, ${failed ? `${count(failed)} of them failed` : 'none failed'}`;
  const active = `${count(metrics.scheduler.activeJobs)} active ${metrics.scheduler.activeJobs === 1 ? 'job' : 'jobs'}`;
  return bad.length ? `${capital(bad.join(', '))}; ${active}, ${ended}.` : `All is well: ${active}, ${ended}.`;
}

const capital = said => said[0].toUpperCase() + said.slice(1);

function tilesOf({ metrics, hour, rate }) {
  const since = new Date(now() - 3_600_000).toISOString().replace(/\.\d+/, '');
  const failed = failedOf(hour);
  return [
    tile('fires a second', rate === null ? '…' : rate < 10 ? rate.toFixed(1) : count(Math.round(rate)), '/executions'),
    tile('drift p50, since the start', millis(metrics.drift.count ? metrics.drift.p50Ms : null), '/system'),
    tile('drift p99, since the start', millis(metrics.drift.count ? metrics.drift.p99Ms : null), '/system'),
    tile(`failed ${inHour(hour)}`, count(failed), `/executions?status=FAILED&from=${since}`, failed ? 'bad' : ''),
    tile('under way', count(metrics.scheduler.activeExecutions), '/executions?status=PENDING'),
    tile('jobs', count(metrics.scheduler.totalJobs), '/jobs'),
  ];
}

function nextOf(list) {
  if (!list.length) return emptyState(['Nothing is due. ', link('/jobs/new', 'Create a job'), ' to see it here.']);
  return table('The next jobs to fire', [
    { title: 'Job', isHead: true, class: 'name', cell: job => link(`/jobs/${job.jobId}`, job.name ?? job.schedule) },
    { title: 'When', cell: job => countdown(job.nextExecution) },
    { title: 'At', class: 'wide', cell: job => moment(job.nextExecution) },
  ], list);
}

function attentionOf({ failing, held, autoPaused, targets }) {
  const group = ({ jobs, more }, state, said) => jobs.length && [
    jobs.map(job => h('li', link(`/jobs/${job.jobId}`, nameOf(job)), ' ', jobState(job), job.paused?.reason ? h('span.soft', ` ${job.paused.reason}`) : null,
      state === 'failing' && job.lastOutcome ? h('span.soft', ' ', moment(job.lastOutcome.scheduledTime)) : null)),
    more ? h('li', link(`/jobs?state=${state}`, `all that are ${said}`)) : null,
  ];
  const late = targets.map(target => h('li', link(`/jobs?target=${encodeURIComponent(target.target)}`, target.target), ' ',
    h('span.badge', { class: target.failing ? 'failed' : 'held' }, target.failing ? '✕ does not answer' : '… late'), h('span.soft', ` ${count(target.waiting)} waiting`)));
  const all = [group(failing, 'failing', 'failing'), group(held, 'held', 'held'), group(autoPaused, 'autoPaused', 'paused by themselves'), late].filter(part => part && part.length !== 0);
  return all.length ? h('ul.plain', all) : emptyState('Nothing.');
}

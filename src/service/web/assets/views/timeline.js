// Owns the last hour and the next one: how much there was and will be, when most jobs are due together, and what overlaps.

import { h, refresh, replace } from '../dom.js';
import { each, get } from '../api.js';
import { bars, lane, outcomes } from '../charts.js';
import { preview } from '../schedule.js';
import { count, countdown, moment, now, span, text } from '../time.js';
import { emptyState, field, link, nameOf, pager, section, table } from '../parts.js';

const HOUR = 3_600_000;
const LANES = 30;
/** As many runs of a job as the API shows at once. */
const RUNS_MAX = 100;
/** As many as the API shows of a schedule at once. */
const DUE_MAX = 1000;

export default async function timeline(context) {
  const { query, signal, go, href } = context;
  context.title('Timeline');
  const [whole, page] = await Promise.all([
    get('/api/timeline', {}, signal),
    get('/api/jobs', { sort: query.tag ? 'created' : 'next', tag: query.tag, state: 'active', cursor: query.cursor, limit: LANES }, signal),
  ]);
  const place = h('div');
  const lanes = new Map(page.jobs.map(job => [job.jobId, { job, runs: [], due: [], place: h('div') }]));
  const draw = told => refresh(place, drawWhole(told));
  draw(whole);
  context.every(30_000, () => get('/api/timeline', {}, signal).then(draw, () => {}));
  context.every(10_000, () => loadRuns(lanes, signal).then(() => lanes.forEach(drawLane), () => {}));
  const overlaps = h('div');
  context.shown = async () => {
    await fill(lanes, signal).catch(() => {});
    replace(overlaps, overlapsOf(lanes));
  };
  const tag = h('input', { name: 'tag', value: query.tag ?? '', maxlength: 100 });
  const form = h('form.filters', field('Only jobs with the tag', tag), h('div.field', h('button.quiet', 'Show')));
  form.addEventListener('submit', event => {
    event.preventDefault();
    go(href({ tag: tag.value }));
  });
  return [
    h('h1', 'Timeline'), place,
    section('Job by job', form, legend(), page.jobs.length ? lanesOf(lanes) : emptyState(['No active job. ', link('/jobs/new', 'Create one'), '.']), pager(page.nextCursor, Boolean(query.cursor), href)),
    section('What overlaps', overlaps),
  ];
}

function drawWhole(told) {
  const at = point => text(point.start, 'min');
  const past = told.past.map(point => ({ title: `${at(point)}: ${point.success} succeeded, ${point.failed} failed, ${point.skipped} skipped`, parts: [['failed', point.failed], ['success', point.success], ['skipped', point.skipped]] }));
  const next = told.next.map(point => ({ title: `${at(point)}: ${count(point.due)} due`, parts: [['due', point.due]] }));
  const [ended, due] = [told.past.reduce((sum, point) => sum + point.success + point.failed, 0), told.next.reduce((sum, point) => sum + point.due, 0)];
  const isEstimate = told.lookedAt < told.jobs;
  const about = isEstimate ? 'about ' : '';
  const peaks = told.peaks.length
    ? table('Seconds in which most jobs are due together', [
      { title: 'Second', isHead: true, cell: peak => moment(peak.time) }, { title: 'In', cell: peak => countdown(peak.time) },
      { title: 'Jobs', class: 'number', cell: peak => about + count(peak.due) },
    ], told.peaks)
    : emptyState('No two jobs are due in the same second.');
  return [
    section('All jobs, minute by minute',
      bars([...past, ...next], `${count(ended)} ended in the last hour, ${about}${count(due)} are due in the next one`, { height: 90, mark: past.length }),
      outcomes(), h('p.scale', h('span', moment(told.past[0]?.start ?? told.now, 'min')), h('span', 'now'), h('span', moment(told.next.at(-1)?.start ?? told.now, 'min'))),
      h('p.soft', `${count(ended)} ended`, told.countedSince ? [' since ', moment(told.countedSince)] : ' in the last hour', `, ${about}${count(due)} are due in the next hour`, isEstimate ? `, estimated from ${count(told.lookedAt)} of ${count(told.jobs)} jobs` : '', '.')),
    section('Herds', h('p.soft', 'Jobs that are due in the same second. ', h('code', 'spreadSeconds'), ' or ', h('code', '~'), ' in the schedule spread them.'), peaks),
  ];
}

const legend = () => h('p.legend', h('span', h('i.success'), 'succeeded'), h('span', h('i.failed'), 'failed (taller)'), h('span', h('i.skipped'), 'skipped'), h('span', h('i.due'), 'due'), h('span', `of each job at most the last ${RUNS_MAX} runs`));

function lanesOf(lanes) {
  return table('Jobs by when they are due next', [
    { title: 'Job', isHead: true, class: 'name', cell: ({ job }) => link(`/jobs/${job.jobId}`, nameOf(job)) },
    { title: 'The last hour and the next one', class: 'lanes', cell: one => one.place },
    { title: 'Next', class: 'wide', cell: ({ job }) => countdown(job.nextExecution) },
  ], [...lanes.values()]);
}

async function loadRuns(lanes, signal) {
  const { strips } = await get('/api/strips', { jobId: [...lanes.keys()].join(','), limit: RUNS_MAX }, signal);
  for (const { jobId, runs } of strips) lanes.get(jobId).runs = runs;
}

async function fill(lanes, signal) {
  if (!lanes.size) return;
  await loadRuns(lanes, signal);
  const to = `${new Date(now() + HOUR).toISOString().slice(0, 19)}Z`;
  await each(lanes.values(), async one => {
    const told = await preview(one.job, { to, count: DUE_MAX }, signal);
    one.due = told.instants.map(instant => instant.time);
    // A job that is due more often than can be shown goes on as it began.
    one.goesOn = one.due.length === DUE_MAX;
    drawLane(one);
  });
}

function drawLane(one) {
  const [from, to] = [now() - HOUR, now() + HOUR];
  const said = `${one.runs.length} last runs, ${one.goesOn ? 'more than ' : ''}${one.due.length} due in the next hour`;
  // What lies closer than a pixel need not be drawn twice.
  let last = 0;
  const due = one.due.filter(iso => Date.parse(iso) > now()).filter(iso => {
    const at = Date.parse(iso);
    if (at - last < 4000) return false;
    last = at;
    return true;
  });
  if (one.goesOn) for (let at = last + 4000; at < to; at += 4000) due.push(new Date(at).toISOString());
  replace(one.place, lane(one.runs, due, from, to, said));
}

/** Jobs whose runs last longer than it takes until the next one. */
function overlapsOf(lanes) {
  const found = [];
  for (const { job, runs } of lanes.values()) {
    const ran = runs.filter(run => run.kind === 'scheduled' && run.duration !== null);
    const gaps = ran.slice(1).map((run, place) => Date.parse(ran[place].scheduledTime) - Date.parse(run.scheduledTime));
    const over = ran.slice(1).filter((run, place) => run.duration > gaps[place]);
    if (over.length) found.push({ job, many: over.length, longest: Math.max(...over.map(run => run.duration)), gap: Math.min(...gaps) });
  }
  if (!found.length) return emptyState('No run of these jobs lasted until the next one began.');
  return table('Jobs that overlap themselves', [
    { title: 'Job', isHead: true, class: 'name', cell: ({ job }) => link(`/jobs/${job.jobId}`, nameOf(job)) },
    { title: 'How often', class: 'number', cell: ({ many }) => `${many} of the last runs` },
    { title: 'Longest', class: 'number', cell: ({ longest }) => span(longest) }, { title: 'Due every', class: 'number', cell: ({ gap }) => span(gap) },
    { title: 'Policy', cell: ({ job }) => job.overlap ?? 'allow' },
  ], found);
}

// Owns the charts of a job: drift and duration of its runs, one by one or hour by hour, with a table behind them.

import { h, replace } from '../dom.js';
import { get } from '../api.js';
import { bars, outcomes, plot } from '../charts.js';
import { count, millis, moment, now, text } from '../time.js';
import { link, section, status, table } from '../parts.js';

const HOUR = 3_600_000;
const RUNS_MAX = 300;
const RANGES = [['', 'last runs'], ['24h', '24 hours'], ['7d', '7 days'], ['90d', '90 days']];
const LONG = { '24h': 24 * HOUR, '7d': 7 * 24 * HOUR, '90d': 90 * 24 * HOUR };

/** A section that fills itself. Its range is in the address. */
export function history(context, job) {
  const { query, href, go } = context;
  const zoomed = Date.parse(query.from) < Date.parse(query.to);
  const place = h('div', h('p.soft', 'Loading…'));
  const choices = h('nav.choices', { 'aria-label': 'Time shown' }, RANGES.map(([range, said]) =>
    h('a', { href: href({ range, from: null, to: null }), 'aria-current': !zoomed && (query.range ?? '') === range ? 'true' : null }, said)),
  zoomed ? zoomLinks(query, href) : h('span.soft', 'drag over a chart to zoom'));
  const zoom = (from, to) => go(href({ from: iso(from), to: iso(Math.max(to, from + 1000)) }));
  load(context, job).then(found => replace(place, draw(found, zoom, go, job)), why => {
    if (!context.signal.aborted) replace(place, h('p.error', { role: 'alert' }, why.message));
  });
  return section('Drift and duration', choices, place);
}

const iso = ms => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The same as dragging, for the keyboard. */
function zoomLinks(query, href) {
  const [from, to] = [Date.parse(query.from), Date.parse(query.to)];
  const long = to - from;
  const at = (a, b) => href({ from: iso(a), to: iso(Math.max(b, a + 1000)) });
  return [
    h('a', { href: at(from - long / 2, to - long / 2) }, '← earlier'), h('a', { href: at(from + long / 2, to + long / 2) }, 'later →'),
    h('a', { href: at(from + long / 4, to - long / 4) }, 'zoom in'), h('a', { href: at(from - long / 2, to + long / 2) }, 'zoom out'),
  ];
}

async function load({ query, signal }, job) {
  const id = job.jobId;
  if (query.from && query.to) {
    const [from, to] = [Date.parse(query.from), Date.parse(query.to)];
    if (!(from < to)) throw new Error('from and to in the address are no stretch of time');
    // Runs one by one, if they are not too many; else by hour or day.
    const page = await get('/api/executions', { jobId: id, from: query.from, to: query.to, limit: RUNS_MAX }, signal);
    if (!page.nextCursor) return { runs: page.executions, from, to };
    return series(id, from, to, signal);
  }
  if (LONG[query.range]) return series(id, now() - LONG[query.range], now(), signal);
  const page = await get(`/api/jobs/${id}/executions`, { limit: RUNS_MAX }, signal);
  const runs = page.executions;
  const times = runs.map(run => Date.parse(run.scheduledTime));
  return { runs, from: Math.min(...times), to: Math.max(...times) };
}

async function series(id, from, to, signal) {
  const step = to - from > 8 * 24 * HOUR ? '1d' : '1h';
  const found = await get(`/api/jobs/${id}/series`, { from: iso(from), to: iso(to), step }, signal);
  return { points: found.points, step, from, to };
}

function draw(found, zoom, go, job) {
  return found.runs ? drawRuns(found, zoom, go) : drawSeries(found, zoom, job);
}

function drawRuns({ runs, from, to }, zoom, go) {
  if (!runs.length) return h('p.empty', 'No run in this time.');
  const done = runs.filter(run => run.status !== 'PENDING');
  const of = (name, only) => done.filter(only).map(run => ({
    at: Date.parse(run.scheduledTime), value: run[name], failed: run.status === 'FAILED',
    href: `/executions/${run.executionId}`, title: `${text(run.scheduledTime)}: ${millis(run[name])}${run.status === 'FAILED' ? `, failed: ${run.errorMessage}` : ''}`,
  }));
  const edge = to > from ? [from, to] : [from - 1000, to + 1000];
  const common = { from: edge[0], to: edge[1], zoom, open: go };
  return [
    plot({ label: 'Drift: how late each scheduled run began', points: of('driftMs', run => run.kind === 'scheduled' && !run.late), ...common }),
    plot({ label: 'Duration of the deciding attempt', points: of('duration', run => run.duration !== null), ...common }),
    h('p.legend', h('span', h('i.point'), 'run'), h('span.cross-sign', '✕ failed')),
    behind('Runs', [
      { title: 'Scheduled', isHead: true, cell: run => moment(run.scheduledTime) }, { title: 'Status', cell: run => status(run.status, run.httpStatus) },
      { title: 'Drift', class: 'number', cell: run => millis(run.driftMs) }, { title: 'Duration', class: 'number', cell: run => millis(run.duration) },
    ], done),
  ];
}

function drawSeries({ points, step, from, to }, zoom, job) {
  if (!points.length) return h('p.empty', 'Nothing ended in this time.');
  const long = step === '1d' ? 24 * HOUR : HOUR;
  const line = (of, name, said) => ({ name, said, points: points.map(point => ({
    at: Math.min(to, Date.parse(point.start) + point.seconds * 500), value: point[of]?.[`${name}Ms`], failed: name === 'max' && point.failed > 0,
    title: `${text(point.start, 'min', undefined, true)}: ${said} ${millis(point[of]?.[`${name}Ms`])}, ${count(point.failed)} failed`,
  })) });
  const lines = of => [line(of, 'p50', 'p50'), line(of, 'p99', 'p99'), line(of, 'max', 'most')];
  const byStart = new Map(points.map(point => [Math.floor(Date.parse(point.start) / long), point]));
  const [first, last] = [Math.floor(from / long), Math.floor(to / long)];
  const counts = Array.from({ length: last - first + 1 }, (_, place) => {
    const point = byStart.get(first + place) ?? { success: 0, failed: 0, skipped: 0 };
    const start = new Date((first + place) * long).toISOString();
    return { title: `${text(start, 'min', undefined, true)}: ${point.success} succeeded, ${point.failed} failed, ${point.skipped} skipped`, parts: [['failed', point.failed], ['success', point.success], ['skipped', point.skipped]] };
  });
  const sums = ['success', 'failed', 'skipped'].map(name => points.reduce((sum, point) => sum + point[name], 0));
  const common = { from, to, zoom };
  const open = point => link(`/jobs/${job.jobId}?from=${iso(Date.parse(point.start))}&to=${iso(Date.parse(point.start) + point.seconds * 1000 - 1000)}`, moment(point.start, 'min'));
  return [
    plot({ label: `Drift by ${step === '1d' ? 'day' : 'hour'}`, lines: lines('drift'), ...common }),
    plot({ label: `Duration by ${step === '1d' ? 'day' : 'hour'}`, lines: lines('duration'), ...common }),
    h('figure', h('figcaption', `Outcomes: ${count(sums[0])} succeeded, ${count(sums[1])} failed, ${count(sums[2])} skipped`), bars(counts, `${count(sums[0])} succeeded, ${count(sums[1])} failed, ${count(sums[2])} skipped`)),
    outcomes(), behind('Steps', [
      { title: 'From', isHead: true, cell: open }, { title: 'Succeeded', class: 'number', cell: point => count(point.success) }, { title: 'Failed', class: 'number', cell: point => count(point.failed) },
      { title: 'Skipped', class: 'number wide', cell: point => count(point.skipped) }, { title: 'Drift p99', class: 'number', cell: point => millis(point.drift?.p99Ms) }, { title: 'Duration p99', class: 'number', cell: point => millis(point.duration?.p99Ms) },
    ], [...points].reverse()),
  ];
}

/** The same as a table, made once somebody wants it. */
function behind(caption, columns, rows) {
  const place = h('div');
  const details = h('details', h('summary', 'As a table'), place);
  details.addEventListener('toggle', () => details.open && replace(place, table(caption, columns, rows)), { once: true });
  return details;
}

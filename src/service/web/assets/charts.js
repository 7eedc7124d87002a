// Owns small drawings: strips of runs, bars of seconds, and points over time that can be zoomed into.

import { h, s } from './dom.js';
import { text, millis, now } from './time.js';

const WORDS = { SUCCESS: 'succeeded', FAILED: 'failed', SKIPPED: 'skipped', PENDING: 'pending' };
/** How tall an outcome is in a strip, so that it shows without colour, too. */
const TALL = { SUCCESS: 12, FAILED: 20, SKIPPED: 5, PENDING: 8 };

/** The last runs, oldest first, a bar each. `runs` come newest first. */
export function strip(runs, most = 60) {
  const shown = runs.slice(0, most).reverse();
  const counts = new Map();
  for (const run of shown) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  const said = shown.length ? [...counts].map(([name, many]) => `${many} ${WORDS[name]}`).join(', ') : 'no runs yet';
  const first = most - shown.length;
  const bars = shown.map((run, place) => {
    const tall = TALL[run.status] ?? 8;
    const title = `${text(run.scheduledTime)}: ${WORDS[run.status]}${typeof run.driftMs === 'number' ? `, ${millis(run.driftMs)} late` : ''}`;
    const x = (first + place) * 4;
    // By mouse only: sixty stops of the tab key would be in the way, and the same is in a table.
    return s('g', { 'data-open': `/executions/${run.executionId}` }, s('rect.hit', { x, y: 0, width: 4, height: 20 }), s('rect', { class: run.status.toLowerCase(), x, y: 20 - tall, width: 3, height: tall }), s('title', title));
  });
  return s('svg.strip', { viewBox: `0 0 ${most * 4} 20`, preserveAspectRatio: 'xMinYMid', role: 'img', 'aria-label': shown.length ? `last ${shown.length} runs: ${said}` : said }, bars);
}

/** One bar for each of `points`, of stacked `parts` (class and value). */
export function bars(points, label, { height = 60, mark } = {}) {
  const most = Math.max(1, ...points.map(point => point.parts.reduce((sum, [, value]) => sum + value, 0)));
  const drawn = points.map((point, place) => {
    let y = height;
    const rects = point.parts.filter(([, value]) => value > 0).map(([name, value]) => {
      const tall = Math.max(1.5, value / most * (height - 2));
      y -= tall;
      // What failed is hatched, what was skipped is narrow: nobody depends on the colour.
      const [inset, wide] = name === 'skipped' ? [3.5, 3] : [1, 8];
      const hatch = name === 'failed' ? s('rect', { x: place * 10 + 1, y, width: 8, height: tall, fill: 'url(#hatch)' }) : null;
      return [s('rect', { class: name, x: place * 10 + inset, y, width: wide, height: tall }), hatch];
    });
    return s('g', s('title', point.title), s('rect.hit', { x: place * 10, y: 0, width: 10, height }), rects);
  });
  const line = mark === undefined ? null : s('line.mark', { x1: mark * 10, x2: mark * 10, y1: 0, y2: height });
  return s('svg.bars', { viewBox: `0 0 ${points.length * 10} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, hatching(), s('line.axis', { x1: 0, x2: points.length * 10, y1: height - 0.5, y2: height - 0.5 }), drawn, line);
}

/** Slanted lines over what is drawn below. */
const hatching = () => s('defs', s('pattern', { id: 'hatch', width: 3, height: 3, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, s('rect.hatch', { width: 1.2, height: 3 })));

/** What the signs of bars mean. */
export const outcomes = () => h('p.legend', h('span', h('i.success'), 'succeeded'), h('span', h('i.failed'), 'failed (hatched)'), h('span', h('i.skipped'), 'skipped (narrow)'));

const [HIGH, LEFT, BOTTOM, TOP] = [170, 62, 22, 10];
/** As wide as the page, so that text in a drawing is as large as beside it. */
const width = () => Math.max(300, document.getElementById('main').clientWidth - 74);

/**
 * Values over time. A point has `at` (ms), a `value` (ms) or null, `failed`, and a `title`; `lines` are named series of points
 * that are joined. Dragging over it calls `zoom(from, to)`.
 */
export function plot({ label, points = [], lines = [], from, to, zoom, open }) {
  const wide = width();
  const all = [...points, ...lines.flatMap(line => line.points)].filter(point => point.value !== null && point.value !== undefined);
  if (!all.length) return h('p.empty', `${label}: nothing in this time.`);
  const top = nice(Math.max(...all.map(point => point.value)));
  const x = at => LEFT + (at - from) / Math.max(1, to - from) * (wide - LEFT - 8);
  const y = value => TOP + (1 - value / top) * (HIGH - TOP - BOTTOM);
  const grid = [0, 0.5, 1].map(part => [
    s('line.grid', { x1: LEFT, x2: wide - 8, y1: y(top * part), y2: y(top * part) }),
    s('text', { x: LEFT - 6, y: y(top * part) + 4, 'text-anchor': 'end' }, part ? millis(top * part) : '0'),
  ]);
  const isLong = to - from > 36 * 3_600_000;
  const ticks = (wide < 560 || to - from < 10_000 ? [0, 1] : [0, 0.25, 0.5, 0.75, 1]).map(part => {
    const at = new Date(from + (to - from) * part).toISOString();
    const said = isLong ? text(at, 'min', undefined, true) : text(at, to - from < 600_000 ? 's' : 'min');
    return s('text', { x: x(from + (to - from) * part), y: HIGH - 6, 'text-anchor': part === 0 ? 'start' : part === 1 ? 'end' : 'middle' }, said);
  });
  const joined = lines.map(({ name, points: series }) => {
    const known = series.filter(point => point.value !== null && point.value !== undefined);
    const path = known.map((point, place) => `${place ? 'L' : 'M'}${x(point.at).toFixed(1)} ${y(point.value).toFixed(1)}`).join('');
    return [s('path.line', { class: name, d: path }), known.map(point => dot(point, x, y, name))];
  });
  const selected = s('rect.selected', { y: TOP, height: HIGH - TOP - BOTTOM, width: 0 });
  const drawing = s('svg.plot', { viewBox: `0 0 ${wide} ${HIGH}`, role: 'img', 'aria-label': describe(label, all) }, grid, ticks, joined, points.map(point => dot(point, x, y, 'point')), selected);
  if (zoom) drag(drawing, selected, wide, px => from + (px - LEFT) / (wide - LEFT - 8) * (to - from), (a, b) => zoom(Math.max(from, a), Math.min(to, b)), open);
  const legend = lines.length ? h('p.legend', lines.map(({ name, said }) => h('span', h('i.line-sign', { class: name }), said))) : null;
  return h('figure', h('figcaption', label), drawing, legend);
}

function dot(point, x, y, name) {
  if (point.value === null || point.value === undefined) return null;
  const [cx, cy] = [x(point.at), y(point.value)];
  const title = s('title', point.title);
  if (point.failed) {
    return s('path.cross', { 'data-open': point.href, d: `M${cx - 4} ${cy - 4}L${cx + 4} ${cy + 4}M${cx - 4} ${cy + 4}L${cx + 4} ${cy - 4}` }, title);
  }
  return s('circle', { class: name, cx, cy, r: 2.5, 'data-open': point.href }, title);
}

function describe(label, points) {
  const values = points.map(point => point.value).sort((a, b) => a - b);
  const failed = points.filter(point => point.failed).length;
  return `${label}: ${points.length} values, ${millis(values[Math.floor(values.length / 2)])} in the middle, at most ${millis(values.at(-1))}${failed ? `, ${failed} of failed runs` : ''}`;
}

function drag(drawing, selected, wide, timeAt, done, open) {
  let start = null;
  const px = event => {
    const box = drawing.getBoundingClientRect();
    return Math.min(wide - 8, Math.max(LEFT, (event.clientX - box.left) / box.width * wide));
  };
  const show = at => {
    selected.setAttribute('x', Math.min(start, at));
    selected.setAttribute('width', Math.abs(at - start));
  };
  drawing.addEventListener('pointerdown', event => {
    if (event.button) return;
    start = px(event);
    drawing.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  drawing.addEventListener('pointermove', event => start !== null && show(px(event)));
  drawing.addEventListener('pointerup', event => {
    if (start === null) return;
    const [a, b] = [Math.min(start, px(event)), Math.max(start, px(event))];
    start = null;
    selected.setAttribute('width', 0);
    if (b - a > 8) return done(timeAt(a), timeAt(b));
    const href = document.elementFromPoint(event.clientX, event.clientY)?.closest('[data-open]')?.getAttribute('data-open');
    if (href) open?.(href);
  });
  drawing.addEventListener('pointercancel', () => {
    start = null;
    selected.setAttribute('width', 0);
  });
}

/** The next round number. */
function nice(value) {
  if (value <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map(step => step * unit).find(step => step >= value);
}

/** Runs on a line of time, a tick each, and what is due on the other side of now. */
export function lane(past, due, from, to, label) {
  const wide = 1000;
  const x = at => (at - from) / (to - from) * wide;
  const ran = past.map(run => {
    const at = Date.parse(run.scheduledTime);
    if (at < from) return null;
    const width = Math.max(2, (run.duration ?? 0) / (to - from) * wide);
    return s('rect', { class: run.status.toLowerCase(), x: x(at), y: run.status === 'FAILED' ? 0 : 4, width, height: run.status === 'FAILED' ? 16 : 8 }, s('title', `${text(run.scheduledTime)}: ${WORDS[run.status]}`));
  });
  const coming = due.map(iso => s('rect.due', { x: x(Date.parse(iso)), y: 4, width: 2, height: 8 }, s('title', text(iso))));
  return s('svg.lane', { viewBox: `0 0 ${wide} 16`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, ran, coming, s('line.mark', { x1: x(now()), x2: x(now()), y1: 0, y2: 16 }));
}

// Owns the view of one execution: what became of it, attempt by attempt, and doing it again.

import { h, s } from '../dom.js';
import { get, post } from '../api.js';
import { millis, moment, text } from '../time.js';
import { action, code, facts, link, nameOf, section, status, table, toast } from '../parts.js';

const LATE = { recovered: 'in doubt after a crash', missed: 'its time passed while nobody could send', waited: 'another execution came first' };

export default async function execution(context) {
  const { params: { id }, signal } = context;
  const run = await get(`/api/executions/${id}`, {}, signal);
  const job = await get(`/api/jobs/${run.jobId}`, {}, signal).catch(() => null);
  const name = job ? nameOf(job) : 'a deleted job';
  context.title(`${name}, ${text(run.scheduledTime)}`);
  if (run.status === 'PENDING') {
    context.live(events => {
      if (events.some(event => event.event === 'gap' || event.executionId === run.executionId && event.status !== 'PENDING')) context.again();
    }, { type: 'execution', jobId: run.jobId });
  }
  const attempts = attemptsOf(run);
  return [
    h('p.crumbs', link('/executions', 'Executions'), ' / '),
    h('div.head', h('h1', job ? link(`/jobs/${run.jobId}`, name) : name, ' at ', moment(run.scheduledTime)), status(run.status, run.httpStatus)),
    h('div.buttons', run.status === 'PENDING' ? null : action('Replay', async () => {
      const told = await post(`/api/executions/${run.executionId}/replay`);
      toast('It is done again:', 'good', link(`/executions/${told.executionId}`, 'see it'));
    }, { scope: 'write' }), link(`/executions?jobId=${run.jobId}`, 'others of this job')),
    run.errorMessage || run.reason ? h('p.warning', run.errorMessage ?? run.reason) : null,
    section('What became of it', facts([
      ['Scheduled', moment(run.scheduledTime, 'ms')], ['Sent', moment(run.executedTime, 'ms')], ['Drift', millis(run.driftMs)], ['Duration', millis(run.duration)],
      ['Status', status(run.status, run.httpStatus)], ['Retries', String(run.retryCount)], ['Kind', run.kind],
      run.late && ['Late', LATE[run.late] ?? run.late], run.waitsFor && ['Waits', `for ${run.waitsFor}`],
      run.covers && ['Stands for', `${run.covers.more ? 'more than ' : ''}${run.covers.count} missed, `, moment(run.covers.from), ' to ', moment(run.covers.to)],
      run.replayOf && ['Replay of', link(`/executions/${run.replayOf}`, run.replayOf)], ['Id', h('code', run.executionId)],
    ])),
    attempts.length ? section('Attempts', timeLine(attempts), table('Attempts', attemptColumns, attempts)) : null,
    run.response ? section('What the target said', code(run.response, 'the beginning of the answer')) : null,
  ];
}

/** All attempts, the last one included, which the API tells beside the others. */
function attemptsOf(run) {
  const before = run.attempts ?? [];
  if (!run.executedTime || run.status === 'SKIPPED' || run.status === 'PENDING') return before;
  const number = run.retryCount + 1;
  const last = { number, isLast: true, httpStatus: run.httpStatus, errorMessage: run.errorMessage, duration: run.duration, timings: run.timings, failed: run.status === 'FAILED' };
  // When the first one was sent is known; of a later last one only how long it took.
  if (number === 1) last.executedTime = run.executedTime;
  return [...before, last];
}

const attemptColumns = [
  { title: 'Attempt', isHead: true, cell: attempt => String(attempt.number) },
  { title: 'Sent', cell: attempt => moment(attempt.executedTime, 'ms') },
  { title: 'Answer', cell: attempt => attempt.errorMessage ?? String(attempt.httpStatus ?? '–') },
  { title: 'Duration', class: 'number', cell: attempt => millis(attempt.duration) },
  ...[['Name', 'nameMs'], ['Connect', 'connectMs'], ['TLS', 'tlsMs'], ['First byte', 'firstByteMs']].map(([title, member]) => ({
    title, class: 'number wide', cell: attempt => (attempt.timings ? millis(attempt.timings[member]) : '–'),
  })),
];

const PARTS = [['nameMs', 'name'], ['connectMs', 'connect'], ['tlsMs', 'tls'], ['firstByteMs', 'answer']];

/** Where the time went: a bar for each attempt, of name, connection, TLS and the wait for the answer. */
function timeLine(attempts) {
  const most = Math.max(0.001, ...attempts.map(attempt => attempt.duration ?? 0));
  const bars = attempts.map((attempt, place) => {
    const y = place * 18;
    let x = 40;
    const width = ms => Math.max(1, ms / most * 640);
    const known = attempt.timings ? PARTS.map(([member, name]) => [name, attempt.timings[member]]) : [];
    const rest = (attempt.duration ?? 0) - known.reduce((sum, [, ms]) => sum + ms, 0);
    const parts = [...known, ['answer', Math.max(0, rest)]].filter(([, ms]) => ms > 0);
    const rects = parts.map(([name, ms]) => {
      const rect = s('rect', { class: name, x, y: y + 2, width: width(ms), height: 12 }, s('title', `${name}: ${millis(ms)}`));
      x += width(ms);
      return rect;
    });
    return [s('text', { x: 0, y: y + 13 }, `#${attempt.number}`), rects, s('text', { x: x + 6, y: y + 13 }, attempt.errorMessage ? '✕' : '✓')];
  });
  return h('figure', s('svg.attempts', { viewBox: `0 0 720 ${attempts.length * 18}`, role: 'img', 'aria-label': `${attempts.length} attempts, the longest took ${millis(most)}` }, bars),
    h('p.legend', [['name', 'name'], ['connect', 'connection'], ['tls', 'TLS'], ['answer', 'answer']].map(([name, said]) => h('span', h('i', { class: name }), said))));
}

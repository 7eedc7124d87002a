// Owns the view of one execution: what became of it, attempt by attempt, and doing it again.

import { h, s } from '../dom.js';
import { get, post } from '../api.js';
import { millis, moment, text } from '../time.js';
import { action, code, facts, link, nameOf, section, status, table, toast } from '../parts.js';

const LATE = { recovered: 'in doubt after a crash', missed: 'its time passed while nobody could send', waited: 'another execution came first' };

export default async function execution(context) {
  const { params: { id }, signal } = context;
  // The id of an execution begins with that of its job.
  const live = await context.live({ type: 'execution', jobId: id.slice(0, 36) });
  const run = await get(`/api/executions/${id}`, {}, signal);
  const job = await get(`/api/jobs/${run.jobId}`, {}, signal).catch(() => null);
  signal.throwIfAborted();
  const name = job ? nameOf(job) : 'a deleted job';
  context.title(`${name}, ${text(run.scheduledTime)}`);
  if (run.status === 'PENDING') {
    live.begin(events => {
      if (events.some(event => event.event === 'gap' || event.executionId === run.executionId && event.status !== 'PENDING')) context.again();
    });
  } else live.end();
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
  last.executedTime = number === 1 ? run.executedTime : run.lastExecutedTime;
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

/** When each attempt was sent and where its time went: name, connection, TLS, and the wait for the answer. */
function timeLine(attempts) {
  const starts = [];
  // Of rows from before this was told: right behind the one before.
  for (const { executedTime } of attempts) starts.push(executedTime ? Date.parse(executedTime) : (starts.at(-1) ?? 0) + (attempts[starts.length - 1]?.duration ?? 0));
  const from = Math.min(...starts);
  const to = Math.max(...attempts.map((attempt, place) => starts[place] + (attempt.duration ?? 0)), from + 1);
  const wide = Math.max(260, document.getElementById('main').clientWidth - 110);
  const scale = (wide - 70) / (to - from);
  const bars = attempts.map((attempt, place) => {
    const y = place * 20;
    let x = 32 + (starts[place] - from) * scale;
    const { nameMs = 0, connectMs = 0, tlsMs = 0 } = attempt.timings ?? {};
    const before = nameMs + connectMs + tlsMs;
    const parts = [['name', nameMs], ['connect', connectMs], ['tls', tlsMs], ['answer', Math.max(0, (attempt.duration ?? 0) - before)]];
    const rects = parts.filter(([, ms]) => ms > 0).map(([name, ms]) => {
      const long = Math.max(2, ms * scale);
      const rect = s('rect', { class: name, x, y: y + 3, width: long, height: 13 }, s('title', `${name}: ${millis(ms)}`));
      x += long;
      return rect;
    });
    return [s('text', { x: 0, y: y + 14 }, `#${attempt.number}`), rects, s('text', { x: x + 5, y: y + 14 }, attempt.errorMessage ? '✕' : '✓')];
  });
  const label = `${attempts.length} ${attempts.length === 1 ? 'attempt' : 'attempts'} within ${millis(to - from)}`;
  return h('figure', s('svg.attempts', { viewBox: `0 0 ${wide} ${attempts.length * 20}`, role: 'img', 'aria-label': label }, bars), h('figcaption', label),
    h('p.legend', [['name', 'name'], ['connect', 'connection'], ['tls', 'TLS'], ['answer', 'waiting for the answer']].map(([name, said]) => h('span', h('i', { class: name }), said))));
}

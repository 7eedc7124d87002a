// Owns the list of jobs: found, sorted and changed many at a time. How each ran lately is asked for once the list stands.

import { h, paced, refresh } from '../dom.js';
import { batch, each, get, may, post } from '../api.js';
import { strip } from '../charts.js';
import { describe } from '../schedule.js';
import { merge, p99 } from '../runs.js';
import { countdown, count, millis } from '../time.js';
import { action, choice, field, jobState, link, nameOf, pager, question, status, table, toast } from '../parts.js';

const LIMIT = 25;
const RUNS = 60;
/** How many tags stand beside a name; all of them are on the job's own page. */
const TAGS = 4;
const STATES = [['', 'any state'], 'active', 'failing', 'paused', ['autoPaused', 'paused by itself'], 'held', 'ended'];
const SORTS = [['created', 'oldest first'], ['next', 'next to fire first'], ['name', 'by name']];

export default async function jobs(context) {
  const { query, signal } = context;
  context.title('Jobs');
  const { q, tag, state, target, sort, cursor } = query;
  const live = await context.live();
  const page = await get('/api/jobs', { q, tag, state, target, sort, cursor, limit: LIMIT }, signal);
  const rows = new Map(page.jobs.map(job => [job.jobId, { job, runs: null, strip: h('span.strip-place'), p99: h('span'), last: h('span', lastOf(job)), next: h('span', countdown(job.nextExecution)) }]));
  const chosen = new Set();

  const tools = h('div.buttons.bulk', { hidden: true });
  const list = table('Jobs', columns(rows, chosen, () => showTools(tools, chosen, rows, context)), page.jobs, {
    key: job => job.jobId, empty: noneOf(query),
  });
  context.shown = () => {
    describeAll(rows, signal);
    loadStrips(rows, signal);
  };
  const renew = paced(3000, async () => {
    try {
      const fresh = await get('/api/jobs', { q, tag, state, target, sort, cursor, limit: LIMIT }, signal);
      for (const job of fresh.jobs) {
        const row = rows.get(job.jobId);
        if (row) {
          row.job = job;
          row.next.replaceChildren(countdown(job.nextExecution));
          row.last.replaceChildren(lastOf(job));
        }
      }
    } catch { /* It is tried again with the next event. */ }
  });
  live.begin(events => {
    if (events.some(event => event.event === 'gap')) loadStrips(rows, signal);
    const told = Map.groupBy(events.filter(event => rows.has(event.jobId)), event => event.jobId);
    for (const [id, ofJob] of told) noteRuns(rows.get(id), ofJob.filter(event => event.event === 'execution'));
    // What a job is due for next is asked of the server, but not more often than somebody reads it.
    if (told.size) renew();
  });
  return [
    h('div.head', h('h1', 'Jobs'), may('write') && h('a.button', { href: '/jobs/new' }, 'New job')),
    filters(context), tools, list, pager(page.nextCursor, Boolean(cursor), context.href),
  ];
}

function columns(rows, chosen, changed) {
  const all = h('input', { type: 'checkbox', 'aria-label': 'All on this page', onchange: event => {
    for (const box of document.querySelectorAll('input[name=chosen]')) {
      box.checked = event.target.checked;
      if (box.checked) chosen.add(box.value);
      else chosen.delete(box.value);
    }
    changed();
  } });
  const choose = event => {
    if (event.target.checked) chosen.add(event.target.value);
    else chosen.delete(event.target.value);
    changed();
  };
  const row = job => rows.get(job.jobId);
  return [
    may('write') && { title: '', head: all, cell: job => h('input', { type: 'checkbox', name: 'chosen', value: job.jobId, 'aria-label': `Choose ${nameOf(job)}`, onchange: choose }) },
    { title: 'Job', isHead: true, class: 'name', cell: job => [
      link(`/jobs/${job.jobId}`, nameOf(job)), ' ',
      (job.tags ?? []).slice(0, TAGS).map(tag => [link(`/jobs?tag=${encodeURIComponent(tag)}`, h('span.tag', tag)), ' ']),
      job.tags?.length > TAGS ? h('span.soft', `+ ${job.tags.length - TAGS}`) : null,
      h('div.words', { dataset: { words: job.jobId } }, job.schedule ?? `once`),
    ] },
    { title: 'Schedule', class: 'wide', cell: job => h('code', job.schedule ?? '') },
    { title: `Last ${RUNS} runs`, cell: job => row(job).strip },
    { title: 'Next', cell: job => row(job).next },
    { title: 'Drift p99', class: 'wide number', cell: job => row(job).p99 },
    { title: 'Last', cell: job => row(job).last },
  ].filter(Boolean);
}

function lastOf(job) {
  if (job.paused || job.held || !job.nextExecution) return jobState(job);
  return job.lastOutcome ? status(job.lastOutcome.status, job.lastOutcome.httpStatus) : h('span.soft', 'not yet');
}

function noteRuns(row, events) {
  if (!row.runs || !events.length) return;
  row.runs = merge(row.runs, events, RUNS);
  drawStrip(row);
  const last = row.runs.find(run => run.status !== 'PENDING' && run.kind === 'scheduled');
  if (last && 'httpStatus' in last && !row.job.paused) refresh(row.last, status(last.status, last.httpStatus));
}

function drawStrip(row) {
  refresh(row.strip, strip(row.runs, RUNS));
  row.p99.textContent = millis(p99(row.runs));
  row.p99.title = `of the last ${row.runs.length} runs`;
}

async function loadStrips(rows, signal) {
  if (!rows.size) return;
  try {
    const { strips } = await get('/api/strips', { jobId: [...rows.keys()].join(','), limit: RUNS }, signal);
    for (const { jobId, runs } of strips) {
      const row = rows.get(jobId);
      row.runs = runs;
      drawStrip(row);
    }
  } catch (why) {
    if (!signal.aborted) toast(`The last runs could not be loaded: ${why.message}`, 'bad');
  }
}

async function describeAll(rows, signal) {
  await each(rows.values(), async ({ job }) => {
    const words = await describe(job, signal).catch(() => null);
    const place = document.querySelector(`[data-words="${job.jobId}"]`);
    if (words && place) place.textContent = words;
  });
}

function filters(context) {
  const { query, go, href } = context;
  const search = h('input', { type: 'search', name: 'q', value: query.q ?? '', placeholder: 'name, URL or owner', maxlength: 200 });
  const set = () => {
    const all = Object.fromEntries(['q', 'tag', 'target', 'state', 'sort'].map(name => [name, form.elements[name].value.trim()]));
    // The API sorts what it searches by name or age only.
    if ((all.q || all.tag) && all.sort === 'next' || all.sort === 'created') all.sort = null;
    go(href(all));
  };
  const onchange = () => set();
  const tag = h('input', { name: 'tag', value: query.tag ?? '', maxlength: 100 });
  const target = h('input', { name: 'target', value: query.target ?? '', placeholder: 'host', maxlength: 300 });
  const sorts = query.q || query.tag ? SORTS.filter(([name]) => name !== 'next') : SORTS;
  const form = h('form.filters', { role: 'search', 'aria-label': 'Jobs' },
    field('Search', search), field('Tag', tag), field('Target', target), field('State', choice(STATES, query.state ?? '', { name: 'state', onchange })),
    field('Order', choice(sorts, query.sort ?? 'created', { name: 'sort', onchange })), h('div.field', h('button.quiet', 'Search')),
    Object.keys(query).length ? h('div.field', link('/jobs', 'Clear')) : null);
  form.addEventListener('submit', event => {
    event.preventDefault();
    set();
  });
  return form;
}

function noneOf(query) {
  if (Object.keys(query).length) return ['No job is like this. ', link('/jobs', 'Show all'), '.'];
  return ['There is no job yet. ', link('/jobs/new', 'Create one'), ', paste a crontab line or a curl command there, or type: ',
    h('code', `curl -X POST ${location.origin}/api/jobs -H 'Content-Type: application/json' -d '{"schedule":"*/10 * * * * *","api":"http://localhost:4444/foo","type":"ATLEAST_ONCE"}'`)];
}

function showTools(tools, chosen, rows, context) {
  tools.hidden = chosen.size === 0;
  const ids = [...chosen];
  const many = ids.length === 1 ? 'one job' : `${count(ids.length)} jobs`;
  const change = async (verb, done, kind = '') => {
    const named = ids.slice(0, 10).map(id => h('li', nameOf(rows.get(id).job)));
    const sure = await question(`${verb[0].toUpperCase()}${verb.slice(1)} ${many}?`, [h('ul', named), ids.length > 10 ? h('p', `and ${ids.length - 10} more`) : null, verb === 'delete' ? h('p', 'Their history stays readable.') : null], { yes: `${verb[0].toUpperCase()}${verb.slice(1)}`, kind });
    if (!sure) return;
    tell(await (verb === 'run' ? runAll(ids) : batch(ids.map(jobId => ({ [verb]: { jobId } })))), done);
    context.again();
  };
  tools.replaceChildren(h('strong', `${many} chosen`), action('Pause', () => change('pause', 'paused')), action('Resume', () => change('resume', 'resumed')),
    action('Run now', () => change('run', 'started')), action('Delete', () => change('delete', 'deleted', 'danger'), { kind: 'danger' }));
}

async function runAll(ids) {
  const told = { done: 0, refused: 0, results: [] };
  await each(ids, async id => {
    try {
      await post(`/api/jobs/${id}/run`);
      told.done += 1;
    } catch (why) {
      told.refused += 1;
      told.results.push({ problem: { detail: why.message } });
    }
  });
  return told;
}

function tell({ done, refused, results }, verb) {
  if (!refused) return toast(`${count(done)} ${verb}`);
  const why = results.find(result => result.problem)?.problem.detail;
  toast(`${count(done)} ${verb}, ${count(refused)} refused: ${why}`, 'bad');
}

// Owns making and changing a job: the form, what its schedule means while it is written, and trying it out before it is saved.

import { busy, h, refresh, replace, settled } from '../dom.js';
import { ask, getJob, may, post } from '../api.js';
import { byPath, controlsOf, mark, sayWrong } from '../controls.js';
import { FIELDS, GROUPS, at, gather, patchOf, write } from '../fields.js';
import { fromPasted } from '../curl.js';
import { termsOf } from '../schedule.js';
import { millis, now } from '../time.js';
import { action, code, facts, link, nameOf, section, toast } from '../parts.js';
import { definitionOf, instants } from './job.js';

const FIRST = { schedule: '0 * * * *', type: 'ATLEAST_ONCE' };

export default async function jobForm(context) {
  const { params: { id }, query, signal } = context;
  if (!may('write')) return [h('h1', 'Not allowed'), h('p.empty', 'Making and changing jobs needs a token with the scope write.')];
  const from = id ?? query.from;
  const loaded = from ? await getJob(from, signal) : null;
  const job = loaded ? definitionOf(loaded.job) : { ...FIRST };
  const leftOut = id ? [] : asNew(job);
  context.title(id ? `Edit ${nameOf(loaded.job)}` : 'New job');

  const controls = controlsOf(FIELDS, job);
  const shown = path => controls.get(path).shown();
  const before = gather(shown).job;
  let isSaved = false;
  const form = h('form.job', { novalidate: true, 'aria-label': id ? 'Edit the job' : 'New job' });
  const said = h('div', { role: 'alert' });
  const previewPlace = h('div');
  const tryPlace = h('div', { 'aria-live': 'polite' });

  const showErrors = (errors, message) => {
    const first = mark(controls, errors);
    replace(said, message ? h('p.error', message) : null);
    first?.focus();
  };
  const taken = focus => {
    const { job: given, errors } = gather(shown);
    mark(controls, errors);
    if (errors.size && focus) showErrors(errors, 'Some fields are not as they have to be.');
    return errors.size ? null : given;
  };
  const preview = previewer(previewPlace, controls, signal);
  const show = settled(300, () => preview(gather(shown).job));
  context.keep(() => !isSaved && JSON.stringify(gather(shown).job) !== JSON.stringify(before));
  // What was due next has passed.
  context.every(5000, () => preview.isOver() && show());
  form.addEventListener('input', () => {
    replace(said);
    show();
  });
  const fill = members => {
    for (const { path, kind } of FIELDS) {
      const value = at(members, path);
      // What another command said of the request does not go to this one's target.
      if (value === undefined && !PASTED.test(path)) continue;
      const { input } = controls.get(path);
      input.value = write(kind, value);
      // What is not among the choices is the first of them, as POST is.
      if (kind === 'choice' && input.selectedIndex < 0) input.selectedIndex = 0;
      const group = value !== undefined && input.closest('details');
      if (group) group.open = true;
    }
    show();
  };
  // What is sent twice makes one job; what was changed in between is another request.
  let [key, sent] = ['', ''];
  const send = async () => {
    const given = taken(true);
    if (!given) return;
    if (JSON.stringify(given) !== sent) [key, sent] = [randomKey(), JSON.stringify(given)];
    try {
      const told = id ? await change(id, loaded, before, given) : (await ask('POST', '/api/jobs', { body: given, headers: { 'Idempotency-Key': key } })).told;
      isSaved = true;
      toast(id ? 'It is changed.' : 'It is created.');
      context.go(`/jobs/${told?.jobId ?? id}`);
    } catch (problem) {
      showErrors(byPath(problem), problem.status === 412 ? 'The job was changed by somebody else meanwhile. Load this page again to see how it is now.' : problem.message);
    }
  };
  const save = h('button', id ? 'Save' : 'Create');
  form.addEventListener('submit', event => event.preventDefault());
  form.addEventListener('submit', busy(save, send));
  const [when, ...groups] = GROUPS.map(group => groupOf(group, controls, job));
  form.append(when, h('aside', section('What the schedule means', previewPlace)), ...groups, said,
    h('div.buttons.sticky', save, action('Try it now', async () => {
      const given = taken(true);
      if (given) await tryOut(tryPlace, given, message => showErrors(message.errors, message.text), signal);
    }, { kind: 'quiet', title: 'Sends it once, unsaved' }), link(id ? `/jobs/${id}` : '/jobs', 'Cancel')), tryPlace);
  show();
  return [
    h('p.crumbs', link('/jobs', 'Jobs'), ' / ', id ? link(`/jobs/${id}`, nameOf(loaded.job)) : null),
    h('h1', id ? 'Edit job' : 'New job'), id ? null : paste(fill),
    leftOut.length ? h('p.warning', `Not copied, as nobody can read it: ${leftOut.join(', ')}.`) : null,
    form, zones(),
  ];
}

/** What another job cannot have, or the API does not show, is left out; what of it somebody has to write anew. */
function asNew(job) {
  delete job.name;
  const secrets = [];
  if (job.auth) secrets.push(job.auth.basic ? `the password of ${job.auth.basic.username}` : 'the bearer token');
  if (job.secretHeaders) secrets.push(...Object.keys(job.secretHeaders));
  if (job.signingSecret) secrets.push('the signing secret');
  for (const name of ['auth', 'secretHeaders', 'signingSecret']) delete job[name];
  return secrets;
}

const randomKey = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

/** Sends only what is another one now, and only if nobody else changed the job meanwhile. */
async function change(id, { etag }, before, after) {
  const body = patchOf(before, after);
  if (!Object.keys(body).length) return null;
  return (await ask('PATCH', `/api/jobs/${id}`, { body, headers: { 'If-Match': etag } })).told;
}

function groupOf(group, controls, job) {
  const inside = h('div.grid', group.fields.map(field => controls.get(field.path).element));
  if (!group.closed) return h('fieldset', h('legend', group.title), inside);
  const isUsed = group.fields.some(field => field.path !== 'type' && at(job, field.path) !== undefined);
  return h('details', { open: isUsed }, h('summary', group.title), inside);
}

/** Shows what a schedule means, each time somebody has written something. Of two questions the later one counts. */
function previewer(place, controls, signal) {
  const words = h('p.words', { role: 'status' });
  const rest = h('div');
  let asked = null;
  let next = '';
  replace(place, words, rest);
  const show = async job => {
    asked?.abort();
    const mine = asked = new AbortController();
    const terms = ['schedule', 'runAt', 'timeZone', 'startsAt', 'endsAt', 'dst.gap', 'dst.overlap', 'spreadSeconds', 'spreadSeed', 'excludeDates', 'excludeCalendars'];
    const mark = errors => terms.forEach(path => sayWrong(controls.get(path), errors.get(path)));
    next = '';
    if (!job.schedule && !job.runAt) return replace(rest, h('p.empty', 'Write a schedule: it is explained here.'));
    try {
      const told = await post('/api/schedules/preview', { ...termsOf(job), count: 10 }, AbortSignal.any([signal, mine.signal]));
      if (mine !== asked) return;
      mark(new Map());
      next = told.instants[0]?.time ?? '';
      if (words.textContent !== told.description) words.textContent = told.description;
      refresh(rest, told.warnings.map(warning => h('p.warning', warning)),
        told.excluded?.length ? h('p.soft', `Left out: ${told.excluded.map(one => one.date).join(', ')}`) : null, instants(told, job));
    } catch (problem) {
      if (mine !== asked || signal.aborted) return;
      mark(byPath(problem));
      words.textContent = '';
      replace(rest, h('p.error', problem.message));
    }
  };
  show.isOver = () => next && Date.parse(next) < now();
  return show;
}

async function tryOut(place, job, complain, signal) {
  const { schedule, runAt, name, tags, owner, active, ...request } = job;
  const body = Object.fromEntries(Object.entries(request).filter(([member]) => TRIED.has(member)));
  const kept = withoutKept(body);
  const without = kept.length ? h('p.warning', `Sent without ${kept.join(', ')}: what is kept is not shown to this page. Write it anew to try with it.`) : null;
  replace(place, h('p.soft', { role: 'status' }, 'Sending it…'));
  try {
    const told = await post('/api/try', body, signal);
    replace(place, section('What came back', without, told.success ? h('p.good', '✓ An execution that ends like this succeeds.') : h('p.error', `✕ An execution that ends like this fails: ${told.errorMessage ?? 'no success'}`),
      facts([['Asked', `${told.method} ${told.url}`], ['Status', String(told.httpStatus ?? '–')], ['Duration', millis(told.duration)],
        told.timings && ['Of that', `name ${millis(told.timings.nameMs)}, connection ${millis(told.timings.connectMs)}, TLS ${millis(told.timings.tlsMs)}, first byte ${millis(told.timings.firstByteMs)}`],
        ...told.headers.map(({ name, value }) => [name, value])]),
      told.body ? code(told.body, 'the beginning of the answer') : null));
    place.scrollIntoView({ block: 'nearest' });
  } catch (problem) {
    replace(place);
    complain({ errors: byPath(problem), text: problem.message });
  }
}

/** What a trial takes: what is sent, and by which its answer is judged. */
const TRIED = new Set(['api', 'type', 'method', 'headers', 'json', 'body', 'auth', 'secretHeaders', 'signingSecret', 'timeoutMs', 'success']);

/** Leaves out secrets that are only kept; gives their names. */
function withoutKept(body) {
  const isKept = value => value?.set === true;
  const names = [];
  const leave = (inside, name, said) => {
    if (!isKept(inside?.[name])) return;
    delete inside[name];
    names.push(said);
  };
  leave(body, 'signingSecret', 'the signing secret');
  for (const name of Object.keys(body.secretHeaders ?? {})) leave(body.secretHeaders, name, name);
  if (isKept(body.auth?.bearer) || isKept(body.auth?.basic?.password)) {
    delete body.auth;
    names.push('its authorization');
  }
  return names;
}

/** What a pasted command says all of. */
const PASTED = /^(api|method|headers|json|body|auth\..*|secretHeaders|timeoutMs|retry\.maxAttempts)$/;

function paste(fill) {
  const text = h('textarea', { rows: 2, 'aria-label': 'A crontab line or a curl command', placeholder: "*/5 * * * * curl -fsS https://example.com/hook -d 'x=1'", spellcheck: 'false' });
  const said = h('div', { role: 'status' });
  const take = action('Fill in', () => {
    try {
      const { remarks, ...members } = fromPasted(text.value);
      fill(members);
      replace(said, h('p.good', 'It is filled in below.'), remarks.map(remark => h('p.warning', remark)));
    } catch (why) {
      replace(said, h('p.error', why.message));
    }
  }, { kind: 'quiet' });
  return h('details.card', h('summary', 'Paste a crontab line or a curl command'), text, h('div.buttons', take), said);
}

function zones() {
  return h('datalist', { id: 'zones' }, (Intl.supportedValuesOf?.('timeZone') ?? []).concat('UTC').map(name => h('option', { value: name })));
}

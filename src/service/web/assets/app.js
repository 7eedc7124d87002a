// Owns the frame around the views: which address is which view, the head of the page, keys, and who is signed in.

import { h, replace } from './dom.js';
import { get, loadSession, may, session, queryText, ask } from './api.js';
import { compareClocks, isUtc, toggleUtc, tick, span, zone } from './time.js';
import { listen } from './live.js';
import { emptyState, link, question, toast } from './parts.js';
import signIn from './views/sign-in.js';
import home from './views/home.js';
import jobs from './views/jobs.js';
import job from './views/job.js';
import jobForm from './views/job-form.js';
import executions from './views/executions.js';
import execution from './views/execution.js';
import timeline from './views/timeline.js';
import alerts from './views/alerts.js';
import alertLog from './views/alert-log.js';
import incident from './views/incident.js';
import system from './views/system.js';

/** The addresses, each with its view; the first one that fits counts. */
const ROUTES = [
  ['/', home],
  ['/jobs', jobs],
  ['/jobs/new', jobForm],
  ['/jobs/:id', job],
  ['/jobs/:id/edit', jobForm],
  ['/executions', executions],
  ['/executions/:id', execution],
  ['/timeline', timeline],
  ['/alerts', alerts],
  ['/alerts/log', alertLog],
  ['/alerts/:id', incident],
  ['/system', system],
];

const PLACES = [['/', 'Overview', 'o'], ['/jobs', 'Jobs', 'j'], ['/executions', 'Executions', 'e'], ['/timeline', 'Timeline', 't'], ['/alerts', 'Alerts', 'a'], ['/system', 'System', 's']];

const main = document.getElementById('main');
let shown = null;
let endShown = () => {};
/** What of a view would be lost by leaving it: gives whether there is something. */
let isTouched = () => false;

/** Goes to an address of this page. */
async function go(href) {
  if (!await mayLeave()) return null;
  const isSame = new URL(href, location.href).pathname === location.pathname;
  // Back finds the page where it was left.
  history.replaceState({ y: scrollY }, '');
  history.pushState(null, '', href);
  return show({ keepFocus: isSame });
}

async function mayLeave() {
  if (!isTouched()) return true;
  const leaves = await question('Leave what you have written?', h('p', 'It is not saved.'), { yes: 'Leave', no: 'Stay' });
  if (leaves) isTouched = () => false;
  return Boolean(leaves);
}

function find(path) {
  for (const [pattern, view] of ROUTES) {
    const names = [];
    const form = pattern.replace(/:(\w+)/g, (_, name) => (names.push(name), '([^/]+)'));
    const match = new RegExp(`^${form}$`).exec(path);
    // What is malformed is no id either; the API says so.
    if (match) return { view, params: Object.fromEntries(names.map((name, place) => [name, match[place + 1]])) };
  }
  return { view: missing, params: {} };
}

function missing({ title }) {
  title('No such page');
  return [h('h1', 'There is no such page'), emptyState(['Perhaps one of the ', link('/jobs', 'jobs'), '?'])];
}

/** Shows what the address says. What a view began ends with it. */
async function show({ keepFocus = false, y = 0 } = {}) {
  endShown();
  document.querySelectorAll('dialog[open]').forEach(dialog => dialog.close());
  isTouched = () => false;
  const controller = new AbortController();
  const ends = [];
  const mine = shown = { hasFailed: false };
  endShown = () => {
    controller.abort();
    ends.forEach(end => end());
  };
  const { view, params } = find(location.pathname);
  [path, search] = [location.pathname, location.search];
  markPlace();
  const query = Object.fromEntries(new URLSearchParams(location.search));
  const context = {
    params, query, go, signal: controller.signal,
    title: text => { document.title = text ? `${text} · Punctual` : 'Punctual'; },
    /** The same address with other parts of its query. */
    href: changes => location.pathname + queryText({ ...query, cursor: null, ...changes }),
    /** Events from now on; to be asked for before anything is loaded. */
    live: async filter => {
      controller.signal.throwIfAborted();
      const stream = await listen(filter);
      if (controller.signal.aborted) stream.end();
      else ends.push(() => stream.end());
      return stream;
    },
    every: (ms, run) => {
      if (controller.signal.aborted) return;
      const timer = setInterval(() => document.hidden || run(), ms);
      ends.push(() => clearInterval(timer));
    },
    /** Somebody writes here: `touched` says whether something would be lost. */
    keep: touched => { isTouched = touched; mine.isWritten = true; },
    again: () => mine === shown && show({ keepFocus: true, y: scrollY }),
  };
  let hadFocus = false;
  main.setAttribute('aria-busy', 'true');
  try {
    const content = await (session.scope || view === missing ? view(context) : signIn(context, start));
    if (mine !== shown) return;
    hadFocus = main.contains(document.activeElement);
    // Elsewhere nothing takes the place of what had the focus.
    if (!keepFocus) document.activeElement?.blur();
    replace(main, content);
    context.shown?.();
  } catch (why) {
    if (mine !== shown || controller.signal.aborted) return;
    mine.hasFailed = true;
    context.title('Not shown');
    replace(main, h('h1', why.status === 404 ? 'Not found' : 'This could not be shown'), h('p.error', { role: 'alert' }, why.message),
      h('p', why.more ?? h('button', { type: 'button', onclick: () => show() }, 'Try again')));
  } finally {
    if (mine === shown) main.removeAttribute('aria-busy');
  }
  if (mine !== shown) return;
  if (!keepFocus || y) scrollTo(0, y);
  const heading = main.querySelector('h1');
  if (heading && (!keepFocus || hadFocus) && !main.contains(document.activeElement)) {
    heading.tabIndex = -1;
    (main.querySelector('[autofocus]') ?? heading).focus({ preventScroll: true });
  }
}

function markPlace() {
  for (const element of document.querySelectorAll('#top nav a')) {
    const place = element.getAttribute('href');
    const isHere = place === '/' ? location.pathname === '/' : location.pathname.startsWith(place);
    if (isHere) element.setAttribute('aria-current', 'page');
    else element.removeAttribute('aria-current');
  }
}

const liveSign = h('span', { id: 'live' });
const LIVE = { live: '● live', connecting: '◌ connecting', paused: '‖ paused', lost: '✕ cut off, trying again', off: '' };
/** Said only when it goes and when it is back: it changes with each view. */
const liveSaid = h('span.visually-hidden', { role: 'status' });

let zoneShown = () => {};

function head() {
  const zoneButton = h('button.quiet', { type: 'button', title: 'Show all times the other way (key u)', onclick: toggleUtc });
  const showZone = () => replace(zoneButton, isUtc() ? 'UTC' : zone());
  showZone();
  zoneShown = showZone;
  const themeButton = h('button.quiet', { type: 'button', onclick: turnTheme });
  showTheme(themeButton);
  const who = session.token
    ? [h('span.who', { title: `scope ${session.scope}` }, session.token.name), h('button.quiet', { type: 'button', onclick: signOut }, 'Sign out')]
    : session.scope && session.scope !== 'admin' ? h('button.quiet', { type: 'button', onclick: askToken }, 'Sign in') : null;
  replace(document.getElementById('top'),
    h('a.brand', { href: '/' }, 'Punctual'),
    h('nav', { 'aria-label': 'Main' }, PLACES.map(([href, name, key]) => h('a', { href, title: `key g ${key}` }, name))),
    h('div.tools', liveSign, liveSaid, zoneButton, themeButton, h('button.quiet', { type: 'button', 'aria-label': 'Keys', title: 'Keys (?)', onclick: showKeys }, '?'), who));
  markPlace();
}

const THEMES = ['', 'light', 'dark'];

function turnTheme(event) {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? '') + 1) % THEMES.length];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  stored('punctual.theme', next);
  showTheme(event.currentTarget);
}

function showTheme(button) {
  const theme = document.documentElement.dataset.theme ?? '';
  button.textContent = { '': '◐', light: '☀', dark: '☾' }[theme];
  button.setAttribute('aria-label', `Colours: ${theme || 'as the system'}`);
  button.title = `Colours: ${theme || 'as the system'}`;
}

async function signOut() {
  try {
    await ask('DELETE', '/api/session');
  } catch (why) {
    toast(why.message, 'bad');
  }
  location.assign('/');
}

/** Signs in without leaving what is shown. */
function askAbove() {
  const dialog = h('dialog', { 'aria-label': 'Sign in' });
  dialog.append(signIn({ title: () => {} }, async () => {
    await loadSession();
    head();
    dialog.remove();
  }));
  document.body.append(dialog);
  dialog.showModal();
}

/** Whoever may only read without a token can show one. */
function askToken() {
  session.scope = null;
  show();
}

const KEYS = [...PLACES.map(([, name, key]) => [`g ${key}`, name]), ['c', 'Create a job'], ['/', 'Search'], ['u', 'Times in UTC, or here'], ['r', 'Load again'], ['?', 'These keys']];

let hasKeys = stored('punctual.keys') !== 'off';

function stored(name, value) {
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function showKeys() {
  const on = h('input', { type: 'checkbox', checked: hasKeys, onchange: () => {
    hasKeys = on.checked;
    stored('punctual.keys', hasKeys ? 'on' : 'off');
  } });
  question('Keys', [h('dl.facts', KEYS.map(([key, does]) => h('div', h('dt', key.split(' ').map(part => h('kbd', part))), h('dd', does)))), h('label.check', on, ' Single keys do this')], { yes: 'Close', no: null });
}

let prefix = 0;
function onKey(event) {
  if (!hasKeys || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input, textarea, select, dialog')) return;
  const afterG = Date.now() - prefix < 1500;
  prefix = 0;
  const place = afterG && PLACES.find(([, , key]) => key === event.key);
  if (place) go(place[0]);
  else if (event.key === 'g') prefix = Date.now();
  else if (event.key === 'c' && may('write')) go('/jobs/new');
  else if (event.key === 'u') toggleUtc();
  else if (event.key === 'r' && !shown.isWritten) show({ keepFocus: true });
  else if (event.key === '?') showKeys();
  else if (event.key === '/') {
    const search = main.querySelector('input[type=search]');
    if (search) search.focus();
    else go('/jobs').then(() => main.querySelector('input[type=search]')?.focus());
  } else return;
  event.preventDefault();
}

function onClick(event) {
  const run = event.target.closest?.('.strip [data-open]');
  if (run && !event.button) return go(run.getAttribute('data-open'));
  const anchor = event.target.closest?.('a[href]');
  if (!anchor || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const url = new URL(anchor.getAttribute('href'), location.href);
  if (url.origin !== location.origin || anchor.target || anchor.hasAttribute('download') || url.pathname.startsWith('/api/')) return;
  if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
  event.preventDefault();
  go(url.pathname + url.search);
}

/** The sign of the tab: a dial, green or red. */
const ICON = colour => `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="%23${colour}"/><path d="M8 4v4l3 2" stroke="%23fff" stroke-width="1.6" fill="none"/></svg>`;

/** Says above all what concerns the whole page. */
async function watch() {
  const notice = document.getElementById('notice');
  let said = '';
  try {
    const aheadMs = await compareClocks();
    if (Math.abs(aheadMs) > 2000) said = `The server's clock is ${span(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's. Times shown here go by the server's.`;
    const health = await get('/api/health');
    if (health.status !== 'healthy') said = `The server is not healthy: ${health.reason}.`;
  } catch (why) {
    if (why.status !== 401) said = why.status ? why.message : 'The server does not answer. What is shown may be old.';
  }
  document.querySelector('link[rel=icon]').href = ICON(said ? 'b3211f' : '12733a');
  if (notice.textContent !== said) replace(notice, said);
  // What could not be shown while the server was away can be now.
  if (!said && shown?.hasFailed) show({ keepFocus: true });
}

async function start() {
  try {
    await loadSession();
  } catch (why) {
    replace(main, h('h1', 'The server does not answer'), h('p.error', { role: 'alert' }, why.message),
      h('button', { type: 'button', onclick: start }, 'Try again'));
    return;
  }
  head();
  if (session.scope) watch();
  await show();
}

let [path, search] = [location.pathname, location.search];
window.addEventListener('popstate', async ({ state }) => {
  const isSame = path === location.pathname;
  // Only another place on the page was asked for, as by "Skip to the content".
  if (isSame && search === location.search) return;
  const [from, left] = [path + search, shown];
  if (!await mayLeave()) {
    history.pushState(null, '', from);
    return;
  }
  // Somebody may have gone on while he was asked.
  if (left !== shown) return;
  show({ keepFocus: isSame, y: state?.y ?? 0 });
});
window.addEventListener('signedout', async () => {
  if (!session.scope) return;
  await loadSession();
  if (session.scope) return;
  head();
  // What somebody writes is not taken from him: he signs in above it.
  if (shown.isWritten) askAbove();
  else show();
});
window.addEventListener('livestate', ({ detail: { state, why } }) => {
  liveSign.className = state;
  liveSign.title = why ?? '';
  replace(liveSign, LIVE[state], state === 'lost' && why?.startsWith('as many') ? `: ${why}` : null);
  const said = { lost: 'The connection is cut off.', live: liveSaid.textContent && 'It is live again.' }[state];
  if (said) replace(liveSaid, said);
});
// A view is drawn anew with times as they are told now, but not one that somebody writes in.
window.addEventListener('zonechange', () => {
  zoneShown();
  if (!shown.isWritten) show({ keepFocus: true, y: scrollY });
});
window.addEventListener('beforeunload', event => isTouched() && event.preventDefault());
document.addEventListener('click', onClick);
document.addEventListener('keydown', onKey);
setInterval(() => document.hidden || tick(), 500);
setInterval(() => document.hidden || !session.scope || watch(), 10_000);
start();

// Owns the one stream of events that a tab has: opened while somebody looks, told four times a second, and gone on with
// where it was cut off. What came of it is the business of whoever listens.

import { queryText } from './api.js';

const EVERY_MS = 250;
const WAIT_MAX_MS = 15_000;
/** Nothing for so long, not even a comment, is a connection that only looks open. */
const SILENCE_MAX_MS = 40_000;

let listener = null;
let query = {};
let controller = null;
let lastId = null;
let waitMs = 0;
let retry = 0;
let silence = 0;
let gathered = [];
let timer = 0;
let state = 'off';

/** Listens from now on, in place of whoever listened before. Gives the way to end it. */
export function listen(told, filter = {}) {
  const same = queryText(filter) === queryText(query);
  stop();
  listener = told;
  query = filter;
  // Another filter has events that this page has not heard of and does not miss.
  if (!same) lastId = null;
  waitMs = 0;
  open();
  return () => {
    if (listener === told) stop();
  };
}

function stop() {
  listener = null;
  gathered = [];
  clearTimeout(timer);
  timer = 0;
  close('off');
}

function close(why, detail) {
  clearTimeout(retry);
  clearTimeout(silence);
  controller?.abort();
  controller = null;
  tell(why, detail);
}

/** Whether it is live: `live`, `connecting`, `paused` (the tab is hidden), `lost`, or `off` (nobody listens). */
function tell(next, detail) {
  if (state === next) return;
  state = next;
  window.dispatchEvent(new CustomEvent('livestate', { detail: { state, why: detail } }));
}

async function open() {
  if (!listener || controller) return;
  if (document.hidden) return tell('paused');
  const mine = controller = new AbortController();
  tell(waitMs ? 'lost' : 'connecting');
  try {
    const headers = { Accept: 'text/event-stream', ...(lastId ? { 'Last-Event-ID': lastId } : {}) };
    const response = await fetch(`/api/events${queryText(query)}`, { headers, signal: mine.signal });
    if (response.status === 401) window.dispatchEvent(new Event('signedout'));
    if (!response.ok) throw new Error(response.status === 429 ? 'too many listen' : `the server answered ${response.status}`);
    const wasLost = waitMs > 0;
    waitMs = 0;
    tell('live');
    // Without an id to go on from nobody says what was missed.
    if (wasLost && !lastId) gather({ event: 'gap', missed: null });
    await read(response.body.getReader(), mine);
    throw new Error('the server ended it');
  } catch (why) {
    if (mine !== controller) return;
    close('lost', why.message);
    waitMs = Math.min(Math.max(waitMs * 2, 500), WAIT_MAX_MS);
    retry = setTimeout(open, waitMs);
  }
}

async function read(reader, mine) {
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    clearTimeout(silence);
    silence = setTimeout(() => mine.abort(), SILENCE_MAX_MS);
    const { value, done } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const parts = rest.split('\n\n');
    rest = parts.pop();
    for (const part of parts) take(part);
  }
}

function take(part) {
  let data = '';
  for (const line of part.split('\n')) {
    if (line.startsWith('id: ')) lastId = line.slice(4);
    else if (line.startsWith('data: ')) data += line.slice(6);
  }
  if (data) gather(JSON.parse(data));
}

function gather(event) {
  gathered.push(event);
  timer ||= setTimeout(() => {
    const batch = gathered;
    gathered = [];
    timer = 0;
    listener?.(batch);
  }, EVERY_MS);
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    if (listener) close('paused');
  } else {
    waitMs = 0;
    open();
  }
});

// Owns the one stream of events that a tab has: opened while somebody looks, told four times a second, and gone on with
// where it was cut off. What came of it is the business of whoever listens.

import { queryText } from './api.js';

const EVERY_MS = 250;
const WAIT_MAX_MS = 15_000;
/** Nothing for so long, not even a comment, is a connection that only looks open. */
const SILENCE_MAX_MS = 40_000;
/** How long a view waits for the stream before it loads: what happens later is heard. */
const OPENING_MAX_MS = 1_500;

let stream = null;

/**
 * Listens from now on, in place of whoever listened before. Comes back once the stream is open (or does not open soon), so that
 * what is loaded then and what is told from then on leave nothing out. `begin(told)` hears what came meanwhile; `end` ends it.
 */
export async function listen(filter = {}) {
  stream?.end();
  const mine = stream = new Stream(filter);
  mine.open();
  await Promise.race([mine.opened, new Promise(done => { setTimeout(done, OPENING_MAX_MS); })]);
  // It may open later: then something was left out.
  mine.isLate = !mine.isOpen;
  return mine;
}

class Stream {
  constructor(filter) {
    this.path = `/api/events${queryText(filter)}`;
    this.told = null;
    this.gathered = [];
    this.lastId = null;
    this.waitMs = 0;
    this.isOpen = false;
    this.opened = new Promise(done => { this.hasOpened = done; });
  }

  begin(told) {
    this.told = told;
    if (this.gathered.length) this.schedule();
  }

  end() {
    this.isOver = true;
    this.close('off');
    clearTimeout(this.timer);
    if (stream === this) stream = null;
  }

  close(state, why) {
    clearTimeout(this.retry);
    clearTimeout(this.silence);
    this.controller?.abort();
    this.controller = null;
    this.isOpen = false;
    say(state, why);
  }

  async open() {
    if (this.isOver || this.controller) return;
    if (document.hidden) return say('paused');
    const mine = this.controller = new AbortController();
    say(this.waitMs ? 'lost' : 'connecting');
    try {
      const headers = { Accept: 'text/event-stream', ...(this.lastId ? { 'Last-Event-ID': this.lastId } : {}) };
      const response = await fetch(this.path, { headers, signal: mine.signal });
      if (response.status === 401) window.dispatchEvent(new Event('signedout'));
      if (!response.ok) throw new Error(response.status === 429 ? 'as many listen as may' : `the server answered ${response.status}`);
      // Without an id to go on from nobody says what was missed.
      if ((this.waitMs || this.isLate) && !this.lastId) this.gather({ event: 'gap', missed: null });
      Object.assign(this, { waitMs: 0, isLate: false, isOpen: true });
      this.hasOpened();
      say('live');
      await this.read(response.body.getReader(), mine);
      throw new Error('the server ended it');
    } catch (why) {
      if (mine !== this.controller) return;
      this.close('lost', mine.signal.aborted ? 'nothing came for long' : why.message);
      this.waitMs = Math.min(Math.max(this.waitMs * 2, 500), WAIT_MAX_MS);
      this.retry = setTimeout(() => this.open(), this.waitMs);
    }
  }

  async read(reader, mine) {
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
      clearTimeout(this.silence);
      this.silence = setTimeout(() => mine.abort(), SILENCE_MAX_MS);
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split('\n\n');
      rest = parts.pop();
      for (const part of parts) this.take(part);
    }
  }

  take(part) {
    let data = '';
    for (const line of part.split('\n')) {
      if (line.startsWith('id: ')) this.lastId = line.slice(4);
      else if (line.startsWith('data: ')) data += line.slice(6);
    }
    if (data) this.gather(JSON.parse(data));
  }

  gather(event) {
    this.gathered.push(event);
    if (this.told) this.schedule();
  }

  schedule() {
    this.timer ||= setTimeout(() => {
      const events = this.gathered;
      this.gathered = [];
      this.timer = 0;
      if (!this.isOver) this.told(events);
    }, EVERY_MS);
  }
}

let state = 'off';

/** Whether it is live: `live`, `connecting`, `paused` (the tab is hidden), `lost`, or `off` (nobody listens). */
function say(next, why) {
  if (state === next) return;
  state = next;
  window.dispatchEvent(new CustomEvent('livestate', { detail: { state, why } }));
}

document.addEventListener('visibilitychange', () => {
  if (!stream) return;
  if (document.hidden) stream.close('paused');
  else {
    stream.waitMs = 0;
    stream.open();
  }
});

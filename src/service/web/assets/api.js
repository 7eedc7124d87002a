// Owns the way to the API: requests, their answers, and what went wrong in words. The page asks nothing else.

/** What the API refused, or that it did not answer (status 0). */
class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? body?.error ?? (status ? `the server answered ${status}` : 'the server does not answer'));
    this.status = status;
    this.errors = body?.errors ?? [];
  }
}

/** An answer: its body, and its head where somebody needs it. */
export async function ask(method, path, { query, body, headers = {}, signal } = {}) {
  let response;
  const init = { method, headers: { Accept: 'application/json', ...headers }, signal, credentials: 'same-origin' };
  if (typeof body === 'string') init.body = body;
  else if (body !== undefined) init.body = JSON.stringify(body);
  if (body !== undefined) init.headers['Content-Type'] ??= 'application/json';
  try {
    response = await fetch(path + queryText(query), init);
  } catch (why) {
    if (signal?.aborted) throw why;
    throw new Problem(0);
  }
  const text = await response.text();
  const told = parse(text);
  if (response.ok || response.status === 503 && path === '/api/health') return { told, text, response };
  if (response.status === 401) window.dispatchEvent(new Event('signedout'));
  throw new Problem(response.status, told);
}

export const get = async (path, query, signal) => (await ask('GET', path, { query, signal })).told;
export const post = async (path, body, signal) => (await ask('POST', path, { body: body ?? {}, signal })).told;

/** `?a=1&b=2`, or nothing; what is empty is left out. */
export function queryText(query) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') pairs.set(name, value);
  }
  const text = pairs.toString();
  return text && `?${text}`;
}

/** Many changes of jobs in one request; a result for each. */
export async function batch(lines) {
  const body = lines.map(line => JSON.stringify(line)).join('\n') + '\n';
  const headers = { 'Content-Type': 'application/x-ndjson' };
  return (await ask('POST', '/api/jobs/batch', { body, headers })).told;
}

/** Runs `work` for all of `items`, a few at a time, so that a page never has more requests under way than a browser sends. */
export async function each(items, work, atOnce = 3) {
  const left = [...items];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left.length) await work(left.shift());
  }));
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** Reads JSON, but keeps numbers as they are written: a body is sent as it is, and 1.0 or 2^70 is another text by itself. */
export function parseExactly(text) {
  return JSON.parse(text, (_, value, context) => {
    const isOther = typeof value === 'number' && context && JSON.rawJSON && String(value) !== context.source;
    return isOther ? JSON.rawJSON(context.source) : value;
  });
}

/** A job with its ETag; its body with the numbers as they are written. */
export async function getJob(id, signal) {
  const { told, text, response } = await ask('GET', `/api/jobs/${id}`, { signal });
  if (told.json !== undefined) told.json = parseExactly(text).json;
  return { job: told, etag: response.headers.get('ETag') };
}

/** Who asks, and what he may do. */
export const session = { scope: null, token: null };

export async function loadSession() {
  Object.assign(session, await get('/api/session'));
  return session;
}

const RANKS = [null, 'read', 'write', 'admin'];
/** Whether whoever sits here may do what needs this scope. */
export const may = scope => RANKS.indexOf(session.scope) >= RANKS.indexOf(scope);

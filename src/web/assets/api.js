// Owns the way to the API: requests, their answers, and what went wrong in words. The page asks nothing else.

/** What the API refused, or that it did not answer (status 0). */
export class Problem extends Error {
  constructor(status, body, headers) {
    super(body?.detail ?? body?.error ?? (status ? `the server answered ${status}` : 'the server does not answer'));
    this.status = status;
    this.errors = body?.errors ?? [];
    this.retryAfter = Number(headers?.get('Retry-After')) || 0;
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
  if (response.ok || response.status === 503 && path === '/api/health') return { told, response };
  if (response.status === 401) window.dispatchEvent(new Event('signedout'));
  throw new Problem(response.status, told, response.headers);
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
    return text ? parseExactly(text) : null;
  } catch {
    return null;
  }
}

/** Reads JSON, but keeps numbers as they are written where a number of this language would be another one. */
export function parseExactly(text) {
  return JSON.parse(text, (_, value, context) => {
    const isLong = typeof value === 'number' && context && JSON.rawJSON && (!Number.isFinite(value) || context.source.replace(/\D/g, '').length > 15);
    return isLong ? JSON.rawJSON(context.source) : value;
  });
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

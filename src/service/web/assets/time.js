// Owns how times are shown: in the reader's zone or in UTC, as he likes, each with the other at hand.

import { h } from './dom.js';
import { get } from './api.js';

const KEY = 'punctual.utc';
const DAY = 86_400_000;
let inUtc = stored() === '1';
/** By how much the server's clock is ahead of the browser's, in milliseconds. */
let aheadMs = 0;

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const isUtc = () => inUtc;
export const zone = () => (inUtc ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone);
/** Now, as the server has it. */
export const now = () => Date.now() + aheadMs;

/** Learns how far the clocks are apart. */
export async function compareClocks() {
  const before = Date.now();
  const told = await get('/api/health');
  aheadMs = Math.round(Date.parse(told.timestamp) - (before + Date.now()) / 2);
  return aheadMs;
}

/** Shows all times the other way. */
export function toggleUtc() {
  inUtc = !inUtc;
  try {
    localStorage.setItem(KEY, inUtc ? '1' : '0');
  } catch { /* It counts for this page then. */ }
  for (const element of document.querySelectorAll('time[data-form]')) show(element);
  window.dispatchEvent(new Event('zonechange'));
}

/** A moment. `form` is `ms` (with milliseconds), `s`, or `min`. */
export function moment(iso, form = 's') {
  if (!iso) return h('span.none', '–');
  return show(h('time', { datetime: iso, dataset: { form } }));
}

function show(element) {
  const iso = element.getAttribute('datetime');
  element.textContent = text(iso, element.dataset.form);
  element.title = inUtc ? `${text(iso, 's', false, true)} here` : `${iso.replace('.000Z', 'Z')} (UTC)`;
  return element;
}

const formats = new Map();

function format(utc, options) {
  const key = JSON.stringify([utc, options]);
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat('en-GB', { ...options, ...(utc ? { timeZone: 'UTC' } : {}) }));
  }
  return formats.get(key);
}

/** A moment as text: the date only if it is not today's. */
export function text(iso, form = 's', utc = inUtc, withDate = false) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return String(iso);
  const day = { day: 'numeric', month: 'short' };
  const date = format(utc, day).format(at);
  const isToday = date === format(utc, day).format(now()) && Math.abs(at - now()) < 2 * DAY;
  const isFar = Math.abs(at - now()) > 300 * DAY;
  const clock = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  if (form !== 'min') clock.second = '2-digit';
  if (form === 'ms') clock.fractionalSecondDigits = 3;
  const time = format(utc, clock).format(at);
  if (isToday && !withDate) return time;
  return `${isFar ? format(utc, { ...day, year: 'numeric' }).format(at) : date}, ${time}`;
}

/** How long until a moment; it goes on by itself. */
export function countdown(iso) {
  if (!iso) return h('span.none', 'never');
  const element = h('time.countdown', { datetime: iso, title: `${iso.replace('.000Z', 'Z')} (UTC)` });
  element.textContent = untilText(iso);
  return element;
}

/** What was to come is just coming, until somebody hears what comes after it. */
const untilText = iso => (Date.parse(iso) - now() < 1000 ? 'now' : distance(iso));

/** How long until or since a moment. */
export function distance(iso) {
  const ms = Date.parse(iso) - now();
  const said = span(Math.floor(Math.abs(ms) / 1000) * 1000);
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `in ${said}` : `${said} ago`;
}

/** A length of time in its two largest units. */
export function span(ms) {
  if (ms < 1000 && ms > 0) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${pad(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${pad(minutes % 60)} min`;
  const days = Math.floor(hours / 24);
  return days < 60 ? `${days} d ${hours % 24} h` : `${days} days`;
}

const pad = number => String(number).padStart(2, '0');

/** A duration of the API, in milliseconds. */
export function millis(ms) {
  if (ms === null || ms === undefined) return '–';
  if (Math.abs(ms) < 1) return `${ms.toFixed(2)} ms`;
  if (Math.abs(ms) < 100) return `${ms.toFixed(1)} ms`;
  if (Math.abs(ms) < 10_000) return `${Math.round(ms)} ms`;
  return span(Math.abs(ms));
}

export const count = number => (number ?? 0).toLocaleString('en-GB');

/** Counts on, in all countdowns that are shown. */
export function tick() {
  for (const element of document.querySelectorAll('time.countdown')) {
    const said = untilText(element.getAttribute('datetime'));
    if (element.textContent !== said) element.textContent = said;
  }
}

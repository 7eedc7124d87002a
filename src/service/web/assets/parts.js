// Owns what every view is put together from: tables, badges, buttons, questions, and what is said when there is nothing.

import { busy, h, patch as refreshed, replace, newId } from './dom.js';
import { may } from './api.js';

const SIGNS = { SUCCESS: '✓', FAILED: '✕', SKIPPED: '–', PENDING: '…' };
const WORDS = { SUCCESS: 'succeeded', FAILED: 'failed', SKIPPED: 'skipped', PENDING: 'pending' };

/** How an execution stands: a sign and a word, so that nobody depends on the colour. */
export function status(name, detail) {
  return h('span.badge', { class: name.toLowerCase() }, h('span', { 'aria-hidden': 'true' }, SIGNS[name] ?? ''), h('span.word', ` ${WORDS[name] ?? name}`), detail ? ` ${detail}` : null);
}

/** How a job stands. */
export function jobState(job) {
  if (job.paused) {
    const why = job.paused.reason ?? job.paused.note;
    return h('span.badge.paused', { title: why }, job.paused.reason ? '‖ auto-paused' : '‖ paused');
  }
  if (job.held) return h('span.badge.held', { title: 'the clock stepped back' }, '◷ held');
  if (!job.nextExecution) return h('span.badge.skipped', '∎ ended');
  if (job.lastOutcome?.status === 'FAILED') return h('span.badge.failed', '✕ failing');
  return h('span.badge.success', '● active');
}

/** What a job is called. */
export const nameOf = job => job.name ?? job.api.replace(/^https?:\/\//, '');

export const link = (href, ...children) => h('a', { href }, ...children);

/** A button that does something. While it does, it cannot be pressed again; what goes wrong is said. */
export function action(label, run, { kind = '', scope, title } = {}) {
  const allowed = !scope || may(scope);
  const button = h('button', { type: 'button', class: kind, title: allowed ? title : `needs a token with scope ${scope}`, disabled: !allowed }, label);
  button.addEventListener('click', busy(button, async () => {
    try {
      await run(button);
    } catch (why) {
      toast(why.message, 'bad');
    }
  }));
  return button;
}

/** Says something for a few seconds; what went wrong until it is dismissed. */
export function toast(text, kind = 'good', ...more) {
  const place = document.getElementById('toasts');
  const element = h('div.toast', { class: kind }, h('span', text, ' ', ...more));
  element.append(h('button.quiet', { type: 'button', 'aria-label': 'Dismiss', onclick: () => element.remove() }, '×'));
  place.append(element);
  while (place.children.length > 4) place.firstChild.remove();
  if (kind !== 'bad' && !more.length) setTimeout(() => element.remove(), 8000);
}

/** A table. A column has a `title`, what is in its `cell`, and a `class`; `key` says which row is which. One that is `stacked` has
 * its cells below each other where there is little room. */
export function table(caption, columns, rows, { empty, key, stacked } = {}) {
  const body = h('tbody');
  const head = h('tr', columns.map(column => h('th', { scope: 'col', class: column.class, 'aria-sort': column.sorted }, column.head ?? column.title)));
  const element = h('table', { class: stacked ? 'stacked' : null }, h('caption.visually-hidden', caption), h('thead', head), body);
  const box = h('div.scroll', { role: 'group', 'aria-label': caption, tabindex: '0' }, element);
  const line = row => {
    const cells = columns.map((column, place) => h(column.isHead ? 'th' : 'td', { class: column.class, scope: column.isHead ? 'row' : null, 'data-title': stacked && column.title }, column.cell(row, place)));
    const tr = h('tr', cells);
    if (key) tr.dataset.key = key(row);
    return tr;
  };
  /** Other rows. Those that are there already stay as they are, but for what has changed. */
  box.rows = list => {
    const hadFocus = body.contains(document.activeElement);
    const known = new Map([...body.children].map(tr => [tr.dataset.key, tr]));
    const fresh = list.map(row => {
      const tr = line(row);
      const old = key && known.get(tr.dataset.key);
      return old ? refreshed(old, tr) : tr;
    });
    if (fresh.length) arrange(body, fresh);
    else replace(body, h('tr', h('td', { colspan: columns.length }, emptyState(empty ?? 'Nothing here.'))));
    if (hadFocus && !body.contains(document.activeElement)) box.focus({ preventScroll: true });
  };
  box.rows(rows);
  return box;
}

/** Puts rows into this order, and moves none that need not be. */
function arrange(body, rows) {
  const kept = new Set(rows);
  for (const child of [...body.children]) if (!kept.has(child)) child.remove();
  rows.forEach((row, place) => {
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
}

/** What is said where there is nothing: what it means, and what to type. */
export function emptyState(said) {
  return h('div.empty', said);
}

/** Names and values. */
export function facts(pairs) {
  return h('dl.facts', pairs.filter(Boolean).map(([name, ...value]) => h('div', h('dt', name), h('dd', ...value))));
}

/** One figure with what it means, which leads somewhere. */
export function tile(label, value, href, kind = '') {
  const inside = [h('span.figure', value), h('span.label', label)];
  return h(href ? 'a.tile' : 'div.tile', { href, class: kind }, inside);
}

export function section(title, ...children) {
  const id = newId();
  return h('section.card', { 'aria-labelledby': id }, h('h2', { id }, title), ...children);
}

/** Links to the first and the next page, where there are more. */
export function pager(next, hasBefore, hrefWith) {
  if (!next && !hasBefore) return null;
  return h('nav.pager', { 'aria-label': 'Pages' },
    hasBefore ? link(hrefWith({ cursor: null }), '⇤ first page') : null,
    next ? h('a.next', { href: hrefWith({ cursor: next }) }, 'next page →') : null);
}

/** A choice. Options are texts, or pairs of value and text. */
export function choice(options, chosen, attributes = {}) {
  return h('select', attributes, options.map(option => {
    const [value, said] = Array.isArray(option) ? option : [option, option];
    return h('option', { value, selected: value === chosen }, said);
  }));
}

/** A label with its control below, and a hint. */
export function field(label, control, hintText) {
  control.id ||= newId();
  const parts = [h('label', { for: control.id }, label), control];
  if (hintText) {
    const id = newId();
    control.setAttribute('aria-describedby', id);
    parts.push(h('small', { id }, hintText));
  }
  return h('div.field', parts);
}

/** Asks; `inside` are controls. Gives what `read` makes of them, or null if it was broken off. What `send` is refused is said
 * there, so that nobody has to write it again. */
export function question(title, inside, { yes = 'Yes', no = 'Cancel', kind = '', must = false, read = () => true, send } = {}) {
  return new Promise(done => {
    const id = newId();
    const form = h('form', { method: 'dialog' }, h('h2', { id }, title), ...[inside].flat(),
      h('div.buttons', no && h('button.quiet', { type: 'button', onclick: () => dialog.close('') }, no), h('button', { value: 'yes', class: kind }, yes)));
    const dialog = h('dialog', { 'aria-labelledby': id }, form);
    const before = document.activeElement;
    // What is said once is not closed by accident.
    if (must) dialog.addEventListener('cancel', event => event.preventDefault());
    let answer = null;
    const complain = why => {
      form.querySelector('p.error')?.remove();
      form.querySelector('.buttons').before(h('p.error', { role: 'alert' }, why.message));
    };
    const sent = busy(form, async () => {
      try {
        await send(answer);
        dialog.close('yes');
      } catch (why) {
        complain(why);
      }
    });
    form.addEventListener('submit', event => {
      if (event.submitter?.value !== 'yes') return;
      if (send || form.getAttribute('aria-busy')) event.preventDefault();
      try {
        answer = read(form);
      } catch (why) {
        event.preventDefault();
        return complain(why);
      }
      if (send) sent();
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (!before?.isConnected) document.getElementById('main').focus({ preventScroll: true });
      done(dialog.returnValue === 'yes' ? answer : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A text to take along. */
export function code(text, label) {
  const copy = h('button.quiet.copy', { type: 'button', 'aria-label': `Copy ${label}` }, 'Copy');
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(copy.parentElement.querySelector('pre'));
      copy.textContent = 'Selected';
    }
    setTimeout(() => { copy.textContent = 'Copy'; }, 2000);
  });
  return h('div.code', copy, h('pre', { tabindex: '0', role: 'region', 'aria-label': label }, text));
}

/** A row of tabs of which one is shown. */
export function tabs(label, parts) {
  const panel = h('div', { role: 'tabpanel', id: newId() });
  const buttons = parts.map(([name, make], place) => h('button', {
    type: 'button', role: 'tab', id: newId(), 'aria-controls': panel.id, onclick: () => show(place),
    onkeydown: event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) show((place + step + parts.length) % parts.length, true);
    },
  }, name));
  function show(place, focus) {
    buttons.forEach((button, other) => {
      button.setAttribute('aria-selected', String(other === place));
      button.tabIndex = other === place ? 0 : -1;
    });
    panel.setAttribute('aria-labelledby', buttons[place].id);
    replace(panel, parts[place][1]());
    if (focus) buttons[place].focus();
  }
  show(0);
  return h('div.tabs', h('div', { role: 'tablist', 'aria-label': label }, buttons), panel);
}

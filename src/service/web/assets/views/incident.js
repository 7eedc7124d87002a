// Owns the view of one incident: what is wrong, who knows, and what became of each message.

import { h, paced } from '../dom.js';
import { get } from '../api.js';
import { moment, text } from '../time.js';
import { facts, link, section, table } from '../parts.js';
import { called, incidentActions, incidentState, subject } from '../incidents.js';

const EVENTS = { OPENED: 'it began', REMINDED: 'it goes on', CLOSED: 'it is over' };
const SIGNS = { DELIVERED: ['success', '✓ delivered'], FAILED: ['failed', '✕ given up'], PENDING: ['pending', '… on its way'] };
const EVERY_MS = 10_000;

export default async function incident(context) {
  const { params: { id }, signal } = context;
  const live = await context.live({ type: 'incidents' });
  const load = () => get(`/api/incidents/${id}`, {}, signal);
  const told = await load();
  context.title(`${called(told)}: ${told.summary}`);
  const messages = table('Messages', columns, told.messages, { stacked: true, key: one => one.messageId, empty: 'Nothing was told of it.' });
  const again = () => document.querySelector('dialog[open]') || context.again();
  const shown = JSON.stringify({ ...told, messages: null });
  const renew = async () => {
    try {
      const fresh = await load();
      if (JSON.stringify({ ...fresh, messages: null }) !== shown) again();
      else messages.rows(fresh.messages);
    } catch { /* What concerns the whole page is said above. */ }
  };
  live.begin(paced(1000, renew));
  context.every(EVERY_MS, renew);
  const { acknowledged: known } = told;
  return [
    h('p.crumbs', link('/alerts', 'Alerts'), ' / '),
    h('div.head', h('h1', told.summary), h('span', incidentState(told))),
    h('div.buttons', incidentActions(told, again)),
    section('What is wrong', facts([
      ['Of', subject(told)], told.api && ['URL', told.api], told.schedule && ['Schedule', h('code', told.schedule)],
      told.executionId && ['Opened by', link(`/executions/${told.executionId}`, 'an execution')],
      ['Opened', moment(told.openedAt)], told.closedAt && ['Over', moment(told.closedAt), `: ${told.closedBecause ?? ''}`],
      known && ['Acknowledged', moment(known.at), known.by ? ` by ${known.by}` : '', known.note ? `: ${known.note}` : ''],
      ['Last told', told.lastToldAt ? moment(told.lastToldAt) : 'never'], ['Id', h('code', told.incidentId)],
    ])),
    section('Messages', messages),
  ];
}

const columns = [
  { title: 'Made', cell: one => moment(one.at) },
  { title: 'Says', isHead: true, cell: one => EVENTS[one.event] ?? one.event },
  { title: 'Channel', class: 'name', cell: one => one.channel },
  { title: 'Delivery', cell: one => [h('span.badge', { class: SIGNS[one.delivery]?.[0] }, SIGNS[one.delivery]?.[1] ?? one.delivery), one.deliveredAt ? ` ${text(one.deliveredAt)}` : ''] },
  { title: 'Attempts', class: 'number', cell: one => String(one.attempts) },
  { title: 'Error', class: 'reason', cell: one => one.error ?? '' },
];

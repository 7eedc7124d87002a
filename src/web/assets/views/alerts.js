// Owns the alert log: what failed for good, and whether somebody was told.

import { h, paced } from '../dom.js';
import { get } from '../api.js';
import { moment } from '../time.js';
import { link, pager, table } from '../parts.js';

const LIMIT = 50;
const SIGNS = { DELIVERED: ['success', '✓ delivered'], FAILED: ['failed', '✕ given up'], PENDING: ['pending', '… on its way'], LOGGED: ['skipped', '– logged only'] };

export default async function alerts(context) {
  const { query, signal, href } = context;
  context.title('Alerts');
  const page = await get('/api/alerts', { cursor: query.cursor, limit: LIMIT }, signal);
  if (!query.cursor) {
    const again = paced(2000, context.again);
    context.live(events => events.some(event => event.event === 'gap' || event.status === 'FAILED') && again(), { type: 'execution', status: 'FAILED' });
  }
  const onlyLogged = page.alerts.length && page.alerts.every(alert => alert.delivery.status === 'LOGGED');
  return [
    h('h1', 'Alerts'),
    onlyLogged ? h('p.soft', 'Nobody is told: start the server with ', h('code', '--alert-webhook URL'), ' to have each of these POSTed to you.') : null,
    table('Alerts', [
      { title: 'When', isHead: true, cell: alert => moment(alert.timestamp) },
      { title: 'Job', class: 'name', cell: alert => [link(`/jobs/${alert.jobId}`, alert.api.replace(/^https?:\/\//, '')), ' ', h('code.wide', alert.schedule)] },
      { title: 'What failed', class: 'reason', cell: alert => link(`/executions/${alert.executionId}`, alert.errorMessage) },
      { title: 'Delivery', cell: alert => deliveryOf(alert.delivery) },
      { title: 'Attempts', class: 'number wide', cell: alert => String(alert.delivery.attempts) },
      { title: 'Error', class: 'wide reason', cell: alert => alert.delivery.error ?? '' },
    ], page.alerts, { empty: 'Nothing has failed for good.' }),
    pager(page.nextCursor, Boolean(query.cursor), href),
  ];
}

function deliveryOf({ status, deliveredAt }) {
  const [kind, said] = SIGNS[status] ?? ['', status];
  return [h('span.badge', { class: kind }, said), deliveredAt ? [' ', moment(deliveredAt)] : null];
}

// Owns the log of the plain webhook: what failed for good, and whether somebody was told by it.

import { h, paced } from '../dom.js';
import { get } from '../api.js';
import { moment } from '../time.js';
import { link, pager, table } from '../parts.js';

const LIMIT = 50;
const SIGNS = { DELIVERED: ['success', '✓ delivered'], FAILED: ['failed', '✕ given up'], PENDING: ['pending', '… on its way'], LOGGED: ['skipped', '– logged only'] };

const EVERY_MS = 10_000;

export default async function alertLog(context) {
  const { query, signal, href } = context;
  context.title('Log of failures');
  const load = () => get('/api/alerts', { cursor: query.cursor, limit: LIMIT }, signal);
  const live = query.cursor ? null : await context.live({ type: 'execution', status: 'FAILED' });
  const page = await load();
  const list = table('Alerts', [
    { title: 'When', isHead: true, cell: alert => moment(alert.timestamp) },
    { title: 'Job', class: 'name', cell: alert => [link(`/jobs/${alert.jobId}`, alert.api.replace(/^https?:\/\//, '')), ' ', h('code', alert.schedule)] },
    { title: 'What failed', class: 'reason', cell: alert => link(`/executions/${alert.executionId}`, alert.errorMessage) },
    { title: 'Delivery', cell: alert => deliveryOf(alert.delivery) },
    { title: 'Attempts', class: 'number', cell: alert => String(alert.delivery.attempts) },
    { title: 'Error', class: 'reason', cell: alert => alert.delivery.error ?? '' },
  ], page.alerts, { empty: 'Nothing has failed for good.', key: alert => alert.alertId });
  const renew = paced(2000, async () => {
    try {
      list.rows((await load()).alerts);
    } catch { /* What concerns the whole page is said above. */ }
  });
  live?.begin(renew);
  // What became of telling somebody is no event.
  if (live) context.every(EVERY_MS, renew);
  const onlyLogged = page.alerts.length && page.alerts.every(alert => alert.delivery.status === 'LOGGED');
  return [
    h('p.crumbs', link('/alerts', 'Alerts'), ' / '),
    h('h1', 'Log of failures'),
    onlyLogged ? h('p.soft', 'Nobody is told: start the server with ', h('code', '--alert-webhook URL'), ' to have each of these POSTed to you.') : null,
    list, pager(page.nextCursor, Boolean(query.cursor), href),
  ];
}

function deliveryOf({ status, deliveredAt }) {
  const [kind, said] = SIGNS[status] ?? ['', status];
  return [h('span.badge', { class: kind }, said), deliveredAt ? [' ', moment(deliveredAt)] : null];
}

// Owns the question why a job did not run at some second, and what it did not run for lately.

import { h, replace } from '../dom.js';
import { get } from '../api.js';
import { momentField } from '../moments.js';
import { distance, moment, now } from '../time.js';
import { link, status } from '../parts.js';

export function why({ signal }, job) {
  const id = job.jobId;
  const answer = h('div', { role: 'status' });
  const at = momentField('At', new Date(now() - 60_000).toISOString(), { required: true });
  const form = h('form.inline', at.element, h('button.quiet', 'Ask'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      const told = await get(`/api/jobs/${id}/why`, { at: at.read() }, signal);
      replace(answer, h('p', h('strong', told.verdict), `: ${told.reason}.`),
        told.executions.map(run => h('p', link(`/executions/${run.executionId}`, moment(run.scheduledTime)), ' ', status(run.status, run.httpStatus))),
        h('p.soft', told.previousTime ? ['due before that: ', moment(told.previousTime), ' '] : null, told.nextTime ? ['due next after that: ', moment(told.nextTime)] : null));
    } catch (problem) {
      replace(answer, h('p.error', problem.message));
    }
  });
  const skipped = h('div');
  get('/api/executions', { jobId: id, status: 'SKIPPED', limit: 5 }, signal).then(({ executions }) => {
    replace(skipped, executions.length
      ? [h('h3', 'Lately not sent'), h('ul.plain', executions.map(row => h('li', link(`/executions/${row.executionId}`, moment(row.scheduledTime)), ` ${row.reason ?? ''}`, row.covers ? h('span.soft', ` (stands for ${row.covers.more ? 'more than ' : ''}${row.covers.count})`) : null, h('span.soft', `, ${distance(row.scheduledTime)}`))))]
      : h('p.soft', 'Nothing was left out lately.'));
  }, () => {});
  return [h('p.soft', 'Any second, also one at which it was never due.'), form, answer, skipped];
}

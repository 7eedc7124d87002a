// Owns lists of executions that grow while somebody looks: the newest first, each once, and no more than are shown.

/** How late the latest of a hundred scheduled runs was, of those that began at their own time. */
export function p99(runs) {
  const drifts = runs.filter(run => run.kind === 'scheduled' && !run.late && typeof run.driftMs === 'number').map(run => run.driftMs).sort((a, b) => a - b);
  return drifts.length ? drifts[Math.ceil(drifts.length * 0.99) - 1] : null;
}

/** Puts events into a list that is newest first; gives the new one, at most so long. */
export function merge(runs, events, most) {
  const byId = new Map(runs.map(run => [run.executionId, run]));
  for (const event of events) {
    const known = byId.get(event.executionId);
    // What has ended is not pending again, in whatever order it is heard.
    if (known && event.status === 'PENDING' && known.status !== 'PENDING') continue;
    byId.set(event.executionId, { ...known, ...event });
  }
  const order = (a, b) => (a.scheduledTime < b.scheduledTime ? 1 : a.scheduledTime > b.scheduledTime ? -1 : a.executionId < b.executionId ? 1 : -1);
  return [...byId.values()].sort(order).slice(0, most);
}

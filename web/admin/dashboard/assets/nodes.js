// How nodes are described.

import { count, make, percent } from './dom.js';

/** wording describes a node's state, like wording in fleet.go. */
export function wording(n) {
  const room = n.target ? `of ${count(n.target)}` + (n.limit ? ` · limit ${count(n.limit)}` : '') : n.limit ? `limit ${count(n.limit)}` : 'no target';
  const w = { shape: n.state, word: n.state, detail: n.detail || '', since: n.since, room, actions: ['drain', 'disable'] };
  const o = n.override;
  if (o) w.actions = o.state === 'disabled' ? ['resume'] : ['resume', 'disable'];
  else if (n.drained) w.actions = ['disable'];
  if (o?.state === 'disabled') {
    Object.assign(w, { shape: 'disabled', word: 'disabled', since: o.at, detail: stamp(o) });
  } else if (n.drained) {
    const left = n.drain?.left;
    w.since = n.drain?.since || n.since;
    w.detail = [n.safe_to_terminate ? 'safe to terminate' : left != null && left <= n.drain.threshold && n.drain.waiting_for ? `waiting for ${n.drain.waiting_for.join(', ')}` : left == null ? 'nobody counts who still listens' : `${count(left)} still listen`, o ? stamp(o) : 'not by an operator'].join(', ');
  } else if (n.state === 'fit') {
    if (!n.plays) Object.assign(w, { shape: 'plays_nothing', word: 'plays nothing' });
    else if (n.full) Object.assign(w, { shape: 'full', word: 'refuses listeners' });
    else if (n.limit && n.used >= n.limit) Object.assign(w, { shape: 'at_limit', word: 'at its limit' });
    else if (n.target && n.used >= n.target) Object.assign(w, { shape: 'at_target', word: 'at its target' });
    else if (n.warm_up < 1) Object.assign(w, { shape: 'warming', word: `warming up, ${percent(n.warm_up)} %` });
    w.detail = attention(n) || w.detail;
  }
  return w;
}
export const stamp = (s) => `by ${s.by}` + (s.why ? `: ${s.why}` : '');
// A mount that was never there may not be meant to be. Certificates: 14 days, as in the API.
const attention = (n) => [
  ...(n.lacks ?? []).filter((l) => l.cause !== 'not there').slice(0, 3).map((l) => l.text),
  ...(Date.parse(n.certificate_ends) < Date.now() + 14 * 24 * 3600e3 ? [`its certificate ends at ${n.certificate_ends}`] : []),
].join(', ');
export const needsAttention = (n) => attention(n) !== '' || n.state !== 'fit' || !n.plays || n.full || Boolean(n.target && n.used >= n.target) || Boolean(n.limit && n.used >= n.limit);

// A what-if's result, as a sentence

export function verdict({ now, then, loss }) {
  const [level, words] = loss?.beyond_limit > 0 && !then.beyond_limit ? ['bad', `${count(loss.beyond_limit)} listeners would have no seat at once, all in time`]
    : then.beyond_limit > 0 ? ['bad', `${count(then.beyond_limit)} of ${count(then.listeners)} listeners would have no seat`]
    : then.beyond_target > 0 ? ['warn', `${count(then.beyond_target)} of ${count(then.listeners)} listeners would be beyond the nodes' targets`]
    : ['good', then.listeners ? `All ${count(then.listeners)} listeners would have a seat below target` : 'There is room for everybody: nobody listens now'];
  const before = now.beyond_limit > 0 ? `now: ${count(now.beyond_limit)} without a seat` : now.beyond_target > 0 ? `now: ${count(now.beyond_target)} beyond target` : '';
  const lost = loss?.listeners ? `if the ${count(loss.listeners)} who would have to leave all went at once: ` + (loss.beyond_limit ? `${count(loss.beyond_limit)} without a seat` : loss.beyond_target ? `${count(loss.beyond_target)} beyond target` : 'all below target') : '';
  const notes = [lost, before, then.unbounded ? 'a node has no limit that anybody knows' : ''].filter(Boolean).join('; ');
  return make('div', make(`p.say.${level}`, make('span', words)), notes ? make('small', notes) : null);
}

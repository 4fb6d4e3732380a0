// How nodes are described.

import { api, ask, attempt, done } from './api.js';
import { count, make, mbit, percent } from './dom.js';

const words = { fit: 'in service', unverified: 'not yet probed' };

/** listeners is how many there are, as in overview.go. */
export const listeners = (n) => (n.counted ? count(n.used) : 'not known');
/** sends is the bandwidth in Mbit/s. */
export const sends = (n) => (n.kbit > 0 || (n.counted && n.used - n.en_route <= 0) ? mbit(n.kbit || 0) : n.kbit_reckoned > 0 ? `≈ ${mbit(n.kbit_reckoned)}` : 'not known');

/** wording describes a node's state, like wording in overview.go. */
export function wording(n) {
  const room = n.target ? `of ${count(n.target)}` + (n.limit ? ` · limit ${count(n.limit)}` : '') : n.limit ? `limit ${count(n.limit)}` : 'no target';
  const w = { shape: n.state, word: words[n.state] ?? n.state, detail: n.detail || '', since: n.since, room, actions: ['drain'], urgent: '' };
  const o = n.override;
  if (o) w.actions = ['resume'];
  else if (n.drained) w.actions = [];
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
    w.detail = attention(n); // what is well needs no words
  }
  w.urgent = { down: 'bad', unverified: 'bad', plays_nothing: 'warn', full: 'warn', at_limit: 'warn', at_target: 'warn' }[w.shape] ?? (w.detail && w.shape === 'fit' ? 'warn' : '');
  return w;
}
export const stamp = (s) => `by ${s.by}` + (s.why ? `: ${s.why}` : '');
// A mount that was never there may not be meant to be. Certificates: 14 days, as in the API.
const attention = (n) => [
  ...(n.lacks ?? []).filter((l) => l.cause !== 'not there').slice(0, 3).map((l) => l.text),
  ...(Date.parse(n.certificate_ends) < Date.now() + 14 * 24 * 3600e3 ? [`its certificate ends at ${n.certificate_ends}`] : []),
].join(', ');
/** urgency is as in overview.go: 0 urgent, 1 noticed, 2 intended, 3 calm. */
export const urgency = (n) => (n.drained ? 2 : n.state !== 'fit' ? 0
  : attention(n) !== '' || n.full || (n.target && n.used >= n.target) || (n.limit && n.used >= n.limit) ? 1 : 3);
export const needsAttention = (n) => urgency(n) < 3;

// A what-if's result, as a sentence

export function verdict({ now, then, loss }) {
  const [level, words] = loss?.beyond_limit > 0 && !then.beyond_limit ? ['bad', `${count(loss.beyond_limit)} listeners would be turned away at once, and none in time`]
    : then.beyond_limit > 0 ? ['bad', `${count(then.beyond_limit)} of ${count(then.listeners)} listeners would be turned away`]
    : then.beyond_target > 0 ? ['warn', `${count(then.beyond_target)} of ${count(then.listeners)} listeners would be above the nodes' targets`]
    : ['good', then.listeners ? `All ${count(then.listeners)} listeners would find room below target` : 'There is room for everybody: nobody listens now'];
  const before = now.beyond_limit > 0 ? `now: ${count(now.beyond_limit)} turned away` : now.beyond_target > 0 ? `now: ${count(now.beyond_target)} above target` : '';
  const lost = loss?.listeners ? `if the ${count(loss.listeners)} who would have to leave all went at once: ` + (loss.beyond_limit ? `${count(loss.beyond_limit)} turned away` : loss.beyond_target ? `${count(loss.beyond_target)} above target` : 'all below target') : '';
  const notes = [lost, before, then.unbounded ? 'a node has no limit that anybody knows' : ''].filter(Boolean).join('; ');
  return make('div', make(`p.say.${level}`, make('span', words)), notes ? make('small', notes) : null);
}

/** changes makes a page's buttons with data-do change the node whose id is in data-id. known(id) may have the node already. */
export function changes(known) {
  document.addEventListener('click', async (e) => {
    const b = e.target.closest('[data-do]');
    if (!b) return;
    const { id } = b.closest('[data-id]').dataset;
    const n = known?.(id) ?? await attempt(() => api('GET', `/nodes/${encodeURIComponent(id)}`));
    if (n) await changeNode(n, b.dataset.do);
  });
}

async function changeNode(n, action) {
  const state = { drain: 'drained', disable: 'disabled', resume: '' }[action];
  const said = await ask({
    title: `${action[0].toUpperCase() + action.slice(1)} ${n.id}?`,
    detail: {
      drain: 'It takes no new listener from now on, at every director. Those who listen stay until they leave.',
      disable: 'It takes no new listener from now on, and is not probed either: nobody knows how it is until it is resumed.',
      resume: 'It takes new listeners again as soon as a probe finds it up.',
    }[action],
    action: action[0].toUpperCase() + action.slice(1),
    lasting: action !== 'resume',
    preview: async () => verdict(await api('POST', '/whatif', { nodes: { [n.id]: state } })),
  });
  if (!said) return;
  await attempt(async () => {
    const got = await api('POST', `/nodes/${encodeURIComponent(n.id)}/${action}`, said, { version: n.version });
    done(`${n.id}: ${{ drain: 'drained', disable: 'disabled', resume: 'resumed' }[action]}`, got.revision);
  });
}

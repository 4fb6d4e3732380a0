// The overview of the fleet.

import { api, ask, attempt, done } from './api.js';
import { $, $$, ago, attr, count, drawBar, make, mbit, operate, percent, rate, svg, text } from './dom.js';
import { handlers, missed, refreshSoon, refreshers, remember, remembered, replace, skew } from './live.js';
import { needsAttention, verdict, wording } from './nodes.js';
import { plot } from './plot.js';

const trendLength = 121; // samples of five seconds: ten minutes

export function fleet() {
  const nodes = new Map(); // by id, as last received
  const rows = new Map(); // by id: the row, and whether it is in view
  const changed = new Set(); // ids whose rows are to be drawn again
  const trends = remembered('trends', {}); // by id: listeners, every five seconds; null: no sample
  let sampled = performance.now(); // when the newest samples were taken
  const inSight = new IntersectionObserver((seen) => {
    for (const s of seen) {
      const row = rows.get(s.target.dataset.id);
      if (row) { row.visible = s.isIntersecting; changed.add(s.target.dataset.id); }
    }
    drawSoon();
  }, { rootMargin: '200px' });

  function index() {
    inSight.disconnect();
    rows.clear();
    for (const tr of $$('#nodes tr[data-id]')) {
      const [name, state, load, route, kbit, sent, trend, act] = tr.cells;
      rows.set(tr.dataset.id, { tr, name, state, load, route, kbit, sent, trend, act, visible: false });
      inSight.observe(tr);
    }
    show();
  }

  let due = false;
  let all = false;
  /** drawSoon draws the changed rows in the next frame: those in view or, with also, all of them. */
  function drawSoon(also = false) {
    all ||= also;
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      for (const id of changed) {
        const row = rows.get(id);
        if (row && nodes.has(id) && (row.visible || all)) draw(row, nodes.get(id));
      }
      changed.clear();
      due = all = false;
    });
  }

  function draw(row, n) {
    const w = wording(n);
    const [badge, since, detail] = row.state.children;
    attr(badge, 'data-s', w.shape);
    text(badge, w.word);
    const time = since.firstElementChild;
    if (w.since && time.dateTime !== w.since) time.dateTime = w.since;
    text(time, w.since ? ago(new Date(w.since), Date.now() + skew) : '');
    text(detail, w.detail);
    attr(detail, 'title', w.detail); // the text is cut off if there is no room
    drawBar($('.bar', row.load), n);
    text($('.fig span', row.load), count(n.used));
    text($('.fig small', row.load), w.room);
    text(row.route, count(n.en_route));
    attr(row.route, 'title', estimated(n.en_route_estimated));
    text(row.kbit, mbit(n.kbit || 0));
    text(row.sent, rate(n.sent_per_s || 0));
    drawTrend(row.trend, trends[n.id]);
    if (operate && $$('button', row.act).map((b) => b.dataset.do).join() !== w.actions.join()) {
      row.act.replaceChildren(...w.actions.flatMap((a) => [button(a), ' ']));
    }
  }

  function button(action) {
    const b = make('button', action[0].toUpperCase() + action.slice(1));
    b.dataset.do = action;
    return b;
  }

  function drawTrend(cell, trend = []) {
    if (!cell.firstChild) {
      const chart = svg('svg', { class: 'spark', viewBox: '0 0 100 22', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
      chart.append(svg('path', {}));
      cell.append(chart);
    }
    const seen = trend.filter((v) => v !== null);
    const top = Math.max(1, ...seen);
    const low = Math.min(...seen);
    const flat = top - low < top * 0.02 ? top * 0.02 : top - low; // small fluctuations are no trend
    const step = 100 / (trendLength - 1);
    const x0 = 100 - (trend.length - 1) * step;
    const to = (v, i) => `${(trend[i - 1] ?? null) === null ? 'M' : 'L'}${(x0 + i * step).toFixed(1)},${(20 - ((v - low) / flat) * 18).toFixed(1)}`;
    attr($('path', cell), 'd', trend.map((v, i) => (v === null ? '' : to(v, i))).join(''));
  }

  // What DNS answers bring can only be estimated.
  function estimated(n) {
    return n ? `${count(n)} of them an estimate, for DNS` : '';
  }

  function sum() {
    let used = 0, target = 0, route = 0, guessed = 0, kbit = 0, fit = 0, trouble = 0, limit = 0;
    const unfit = {};
    for (const n of nodes.values()) {
      used += n.used;
      route += n.en_route;
      guessed += n.en_route_estimated || 0;
      kbit += n.kbit || 0;
      if (needsAttention(n)) trouble++;
      if (n.state === 'fit' && n.plays) { fit++; target += n.target || 0; limit += n.limit || 0; } else unfit[wording(n).word] = (unfit[wording(n).word] || 0) + 1;
    }
    const set = (name, value) => $$(`[data-f="${name}"]`).forEach((el) => text(el, value));
    set('used', count(used)); set('target', count(target)); set('en_route', count(route)); set('mbit', mbit(kbit));
    set('estimated', guessed ? `; ${estimated(guessed)}` : '');
    set('fit', fit); set('nodes', nodes.size); set('trouble', trouble);
    set('unfit', Object.entries(unfit).map(([word, n]) => `${n} ${word}`).join(', ') || 'all of them');
    drawBar($('#sum .bar'), { used, en_route: route, target, limit });
  }

  let showing = 'all';
  function show() {
    const wanted = $('#filter').value.trim().toLowerCase();
    for (const [id, row] of rows) {
      const n = nodes.get(id);
      const found = !wanted || row.name.textContent.toLowerCase().includes(wanted);
      row.tr.hidden = !found || (showing === 'trouble' && n !== undefined && !needsAttention(n));
    }
  }
  $('#filter').oninput = show;
  for (const b of $$('[data-show]')) {
    b.onclick = () => {
      showing = b.dataset.show;
      $$('[data-show]').forEach((other) => attr(other, 'aria-pressed', other === b));
      show();
    };
  }

  const orders = {
    id: (n) => n.id,
    state: (n) => (needsAttention(n) ? 0 : 1) + wording(n).word,
    load: (n) => -n.used / (n.target || n.limit || Infinity),
    kbit: (n) => -(n.kbit || 0),
  };
  document.addEventListener('click', (e) => {
    const b = e.target.closest('button[data-sort]');
    if (!b) return;
    const th = b.closest('th');
    const down = th.ariaSort === 'ascending';
    $$('#nodes thead th[aria-sort]').forEach((other) => attr(other, 'aria-sort', 'none'));
    attr(th, 'aria-sort', down ? 'descending' : 'ascending');
    const key = orders[b.dataset.sort];
    const sorted = [...nodes.values()].map((n) => [key(n), n.id]).sort(([a], [c]) => (a < c ? -1 : a > c ? 1 : 0));
    if (down) sorted.reverse();
    const body = $('#nodes tbody');
    for (const [, id] of sorted) if (rows.has(id)) body.append(rows.get(id).tr);
  });

  handlers.nodes = ({ nodes: some, gone = [] }) => {
    for (const n of some) {
      nodes.set(n.id, n);
      changed.add(n.id);
    }
    gone.forEach((id) => nodes.delete(id));
    if (gone.length || some.some((n) => !rows.has(n.id))) refreshSoon();
    sum();
    drawSoon();
    if (showing === 'trouble') show();
  };
  refreshers.nodes = (old, fresh) => {
    const ids = (table) => $$('tr[data-id]', table).map((tr) => tr.dataset.id).sort().join();
    if (ids(old) === ids(fresh)) return; // events keep its rows up to date
    replace(old, fresh);
    index();
  };
  setInterval(() => {
    if (document.body.dataset.live !== 'live') return;
    const gap = missed(sampled, 5000, trendLength);
    sampled = performance.now();
    for (const [id, n] of nodes) {
      const trend = trends[id] ||= [];
      trend.push(...gap, n.used);
      trend.splice(0, trend.length - trendLength);
      changed.add(id);
    }
    drawSoon(true);
  }, 5000);
  addEventListener('pagehide', () => remember('trends', trends));

  document.addEventListener('click', async (e) => {
    const b = e.target.closest('#nodes [data-do]');
    if (!b) return;
    const { id } = b.closest('tr').dataset;
    const n = nodes.get(id) ?? await attempt(() => api('GET', `/nodes/${encodeURIComponent(id)}`));
    if (n) await changeNode(n, b.dataset.do);
  });
  index();
  plot();
}

async function changeNode(n, action) {
  const state = { drain: 'drained', disable: 'disabled', resume: '' }[action];
  const said = await ask({
    title: `${action[0].toUpperCase() + action.slice(1)} ${n.id}?`,
    detail: {
      drain: 'It takes no new listener from now on, at every director. Those who listen stay until they leave.',
      disable: 'It takes no new listener from now on, and is not asked how it is either.',
      resume: 'It takes new listeners again as soon as it is found fit.',
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

// The first page.

import { $, $$, ago, attr, count, drawBar, make, mbit, operate, rate, text } from './dom.js';
import { handlers, refresh, refreshSoon, refreshers, replace, skew } from './live.js';
import mounts from './mounts.js';
import { changes, listeners, needsAttention, sends, urgency, wording } from './nodes.js';
import { plots } from './plot.js';
import { trends } from './trends.js';

export default function overview() {
  const nodes = new Map(); // by id, as last received
  const rows = new Map(); // by id: the row, and whether it is in view
  const changed = new Set(); // ids whose rows are to be drawn again
  const trend = trends('node');
  const inSight = new IntersectionObserver((seen) => {
    for (const s of seen) {
      const row = rows.get(s.target.dataset.id);
      if (row) { row.visible = s.isIntersecting; changed.add(s.target.dataset.id); }
    }
    drawSoon();
  }, { rootMargin: '200px' });

  function add(tr) {
    const [name, state, load, route, kbit, sent, trend, act] = tr.cells;
    rows.set(tr.dataset.id, { tr, name, state, load, route, kbit, sent, trend, act, visible: false });
    inSight.observe(tr);
  }

  function index() {
    inSight.disconnect();
    rows.clear();
    $$('#nodes tr[data-id]').forEach(add);
    show();
  }

  /** list has the table list the rows of another: those that stay keep their elements, for a new table takes long. */
  function list(table, fresh) {
    const focused = document.activeElement;
    const sorted = $('thead th:is([aria-sort="ascending"], [aria-sort="descending"])', table);
    const wanted = $$('tr[data-id]', fresh);
    const ids = new Set(wanted.map((tr) => tr.dataset.id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue;
      inSight.unobserve(row.tr);
      row.tr.remove();
      rows.delete(id);
    }
    let before = null;
    for (const tr of wanted) {
      const known = rows.get(tr.dataset.id)?.tr;
      const row = known ?? document.adoptNode(tr);
      if (!known || (!sorted && row.previousElementSibling !== before)) {
        if (before) before.after(row);
        else $('tbody', table).prepend(row);
      }
      if (!known) add(row);
      before = row;
    }
    $('tfoot', table)?.remove();
    if ($('tfoot', fresh)) table.append(document.adoptNode($('tfoot', fresh)));
    attr(table, 'data-all', fresh.dataset.all);
    if (table.contains(focused)) focused.focus();
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
    attr(row.tr, 'class', w.urgent);
    drawBar($('.bar', row.load), n);
    text($('.fig span', row.load), listeners(n));
    text($('.fig small', row.load), w.room);
    text(row.route, count(n.en_route));
    attr(row.route, 'title', estimated(n.en_route_estimated));
    text(row.kbit, sends(n));
    text(row.sent, rate(n.sent_per_s || 0));
    trend(n.id, row.trend);
    if (operate && $$('button', row.act).map((b) => b.dataset.do).join() !== w.actions.join()) {
      row.act.replaceChildren(...w.actions.flatMap((a) => [button(a), ' ']));
    }
  }

  function button(action) {
    const b = make('button', action[0].toUpperCase() + action.slice(1));
    b.dataset.do = action;
    return b;
  }

  // What DNS answers bring can only be estimated.
  function estimated(n) {
    return n ? `${count(n)} of them an estimate, for DNS` : '';
  }

  function sum() {
    let reckoned = false;
    let used = 0, target = 0, route = 0, guessed = 0, kbit = 0, fit = 0, trouble = 0, limit = 0;
    const unfit = {};
    for (const n of nodes.values()) {
      used += n.used;
      route += n.en_route;
      guessed += n.en_route_estimated || 0;
      kbit += (n.kbit || 0) + (n.kbit_reckoned || 0);
      reckoned ||= n.kbit_reckoned > 0;
      if (needsAttention(n)) trouble++;
      if (n.state === 'fit' && n.plays) { fit++; target += n.target || 0; limit += n.limit || 0; } else unfit[wording(n).word] = (unfit[wording(n).word] || 0) + 1;
    }
    const set = (name, value) => $$(`[data-f="${name}"]`).forEach((el) => text(el, value));
    set('used', count(used)); set('target', count(target)); set('en_route', count(route)); set('mbit', (reckoned ? '≈ ' : '') + mbit(kbit));
    set('estimated', guessed ? `; ${estimated(guessed)}` : '');
    set('fit', fit); set('nodes', nodes.size); set('trouble', trouble);
    set('unfit', Object.entries(unfit).map(([word, n]) => `${n} ${word}`).join(', ') || 'all of them');
    drawBar($('#sum .bar'), { used, en_route: route, target, limit });
  }

  /** wantAll lists the nodes that the page leaves out, too, from now on. */
  async function wantAll() {
    if (!$('[data-all-nodes]')) return;
    history.replaceState(null, '', '/?nodes=all');
    await refresh();
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
  $('#filter').oninput = () => { show(); wantAll(); };
  for (const b of $$('[data-show]')) {
    b.onclick = () => {
      showing = b.dataset.show;
      $$('[data-show]').forEach((other) => attr(other, 'aria-pressed', other === b));
      show();
    };
  }

  const orders = {
    id: (n) => n.id,
    state: (n) => urgency(n) + wording(n).word,
    load: (n) => -n.used / (n.target || n.limit || Infinity),
    kbit: (n) => -(n.kbit || n.kbit_reckoned || 0),
  };
  document.addEventListener('click', async (e) => {
    if (e.target.closest('[data-all-nodes]')) {
      e.preventDefault();
      await wantAll();
    }
    const by = e.target.closest('button[data-sort]')?.dataset.sort;
    if (!by) return;
    await wantAll();
    const th = $(`#nodes [data-sort="${by}"]`).closest('th');
    const down = th.ariaSort === 'ascending';
    $$('#nodes thead th[aria-sort]').forEach((other) => attr(other, 'aria-sort', 'none'));
    attr(th, 'aria-sort', down ? 'descending' : 'ascending');
    const key = orders[by];
    const sorted = [...nodes.values()].map((n) => [key(n), n.id]).sort(([a], [c]) => (a < c ? -1 : a > c ? 1 : 0));
    if (down) sorted.reverse();
    const body = $('#nodes tbody');
    for (const [, id] of sorted) if (rows.has(id)) body.append(rows.get(id).tr);
  });

  handlers.nodes = ({ nodes: some, gone = [] }) => {
    // A node that the page leaves out is listed once it needs attention.
    const noticed = some.some((n) => !rows.has(n.id) && needsAttention(n) && !(nodes.has(n.id) && needsAttention(nodes.get(n.id))));
    for (const n of some) {
      nodes.set(n.id, n);
      changed.add(n.id);
    }
    gone.forEach((id) => nodes.delete(id));
    if (gone.length || noticed || nodes.size > Number($('#nodes').dataset.all)) refreshSoon();
    sum();
    drawSoon();
    if (showing === 'trouble') show();
  };
  refreshers.nodes = (old, fresh) => {
    const ids = (table) => [table.dataset.all, ...$$('tr[data-id]', table).map((tr) => tr.dataset.id).sort()].join();
    if (ids(old) === ids(fresh)) return; // events keep its rows up to date
    if (rows.size && $('tr[data-id]', fresh)) list(old, fresh);
    else { replace(old, fresh); index(); } // without a node there is a sentence
  };
  setInterval(() => { for (const id of nodes.keys()) changed.add(id); drawSoon(); }, 60_000); // trends, and how long ago

  handlers.traffic = (t) => {
    const all = Object.values(t.answers).reduce((sum, v) => sum + v, 0);
    $$('[data-f="rate"]').forEach((el) => text(el, rate(all)));
  };
  index();
  mounts();
  plots();
  changes((id) => nodes.get(id));
}

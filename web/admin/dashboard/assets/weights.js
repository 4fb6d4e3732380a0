// The matrix of weights. The table holds what is on the server. Changes that are not yet
// saved are drafts, which no update overwrites.

import { api, done, Problem, toast } from './api.js';
import { $, $$, attr, count, make, newBar, operate, percent, svg, text } from './dom.js';
import { grid } from './grid.js';
import { overflow, written } from './overflow.js';
import { handlers, refresh, refreshers, refreshSoon } from './live.js';
import { verdict, wording } from './nodes.js';
import { player } from './player.js';

export default function weights() {
  const table = $('#matrix');
  const panel = $('#whatif');
  const idle = [...panel.childNodes];
  const nodesOf = (of) => [...of.tHead.rows[0].cells].map((th) => th.dataset.node); // by column
  let columns = nodesOf(table); // the columns that all rows in the table were made for
  // By region, {version, before, weights, clash}: the row as seen (version and before), as
  // wanted (weights; null: the file's row), and, if somebody changed the row meanwhile,
  // {version, row, who} (clash).
  const drafts = new Map();
  const orders = overflow({ rowOf: (region) => rowOf(region), changed: () => changed() }); // drafts of overflows
  const served = new Map($$('tbody tr', table).map((tr) => [tr.dataset.region, tr.outerHTML])); // as last received
  let servedHead = table.tHead.outerHTML;
  const rowOf = (region) => $(`tr[data-region="${CSS.escape(region)}"]`, table);
  const regionOf = (td) => td.parentNode.dataset.region;
  const nodeOf = (td) => columns[td.cellIndex];

  /** saved returns a row as it is on the server: weight by node, including nodes without a column. */
  const saved = (tr) => new Map(tr.dataset.row.split(' ').filter(Boolean).map((entry) => {
    const [node, weight] = entry.split(':');
    return [node, Number(weight)];
  }));

  function draftOf(tr) {
    const region = tr.dataset.region;
    if (!drafts.has(region)) {
      const before = saved(tr);
      drafts.set(region, { version: tr.dataset.version, before, weights: new Map(before), clash: null });
    }
    return drafts.get(region);
  }

  const same = (a, b) => a.size === b.size && [...a].every(([node, w]) => b.get(node) === w);

  /** put sets a weight in the draft; NaN removes the node from the row. */
  function put(td, weight) {
    const draft = draftOf(td.parentNode);
    draft.weights ??= new Map(draft.before);
    if (Number.isNaN(weight)) draft.weights.delete(nodeOf(td));
    else draft.weights.set(nodeOf(td), weight);
    if (!draft.clash && same(draft.weights, draft.before)) drafts.delete(regionOf(td));
    mark(td);
    reckonShares(td.parentNode);
    changed();
  }

  /**
   * reckonShares shows at once what each node of a row would get: the share now per weight
   * now is what a node's room makes of it. What would happen says it exactly a little later.
   */
  function reckonShares(tr) {
    const draft = drafts.get(tr.dataset.region);
    const before = saved(tr);
    const weights = draft?.weights ?? before;
    const cells = [...tr.cells].slice(1);
    const shown = (td) => { const i = $('i', td); if (!i) return 0; i.dataset.was ??= i.textContent; return parseFloat(i.dataset.was.replace('<', '')) || 0; };
    const factors = cells.map((td) => { const w = before.get(nodeOf(td)); return w ? shown(td) / w : NaN; });
    const known = factors.filter((f) => f > 0);
    const usual = known.length ? known.reduce((a, b) => a + b, 0) / known.length : 1;
    const parts = cells.map((td, i) => (weights.get(nodeOf(td)) ?? 0) * (Number.isNaN(factors[i]) ? usual : factors[i]));
    const sum = parts.reduce((a, b) => a + b, 0);
    cells.forEach((td, i) => {
      let el = $('i', td);
      if (!el && draft?.weights?.has(nodeOf(td))) { el = make('i'); el.dataset.was = ''; td.append(el); }
      if (el) text(el, draft?.weights ? (weights.has(nodeOf(td)) ? percent(sum ? parts[i] / sum : 0) : '0') : el.dataset.was ?? el.textContent);
    });
  }

  /** mark shows in a cell the weight of its draft, if that differs. */
  function mark(td) {
    const draft = drafts.get(regionOf(td));
    const node = nodeOf(td);
    const is = draft?.weights && draft.weights.get(node) !== draft.before.get(node);
    td.classList.toggle('new', Boolean(is));
    td.parentNode.classList.toggle('edited', Boolean(draft));
    let instead = $('b', td);
    if (!is) {
      instead?.remove();
      return;
    }
    if (!instead) td.insertBefore(instead = make('b'), $('i', td)); // above the share, as where nothing is edited
    text(instead, draft.weights.get(node) ?? 'out');
  }

  function markAll(tr) {
    for (const td of tr.cells) if (td.cellIndex) mark(td);
    reckonShares(tr);
    orders.mark(tr);
    tr.classList.toggle('stale', Boolean(drafts.get(tr.dataset.region)?.clash));
  }

  const cells = grid(table, {
    write: operate,
    value: (td) => {
      const w = (drafts.get(regionOf(td))?.weights ?? saved(td.parentNode)).get(nodeOf(td));
      return w ?? NaN;
    },
    put,
    label: (td) => `Weight of ${nodeOf(td)} for ${regionOf(td)}`,
  });

  document.addEventListener('click', (e) => {
    const region = e.target.closest('[data-reset]')?.dataset.reset;
    if (!region) return;
    cells.close();
    draftOf(rowOf(region)).weights = null;
    markAll(rowOf(region));
    changed();
  });

  // The filter hides columns by a style sheet of its own.
  const hiding = new CSSStyleSheet();
  document.adoptedStyleSheets = [hiding];
  const filter = $('#columns');
  filter.oninput = () => {
    const wanted = filter.value.trim().toLowerCase();
    const out = $$('thead th[data-node]', table).filter((th) => wanted && !th.title.toLowerCase().includes(wanted));
    hiding.replaceSync(out.map((th) => `#matrix tr > :nth-child(${th.cellIndex + 1}) { display: none }`).join('\n'));
  };

  // What would happen

  const list = (row) => [...row].map(([node, w]) => `${node} ${w}`).join(', ') || 'nobody';
  const proposal = () => Object.fromEntries([...drafts].map(([region, d]) => [region, d.weights && Object.fromEntries(d.weights)]));
  let asking;
  let timer;
  const question = () => ({ rows: proposal(), overflows: orders.proposal() });
  const playing = player(question);
  let played; // the question that is played, or may be

  function changed() {
    const wanted = JSON.stringify(question());
    if (wanted !== played) playing.stop();
    played = wanted;
    if (!drafts.size && !orders.drafts.size) {
      clearTimeout(timer);
      asking?.abort();
      panel.replaceChildren(...idle);
      return;
    }
    if (!$('#save', panel)) {
      panel.replaceChildren(idle.find((n) => n.nodeName === 'HEADER'), $('#draft').content.cloneNode(true));
      part('play').append(playing.el);
    }
    tellChanges();
    clearTimeout(timer);
    timer = setTimeout(preview, 120);
  }

  const part = (name) => $(`[data-part="${name}"]`, panel);

  function tellChanges() {
    const lines = [...drafts].map(([region, d]) => {
      const what = !d.weights ? 'back to the file’s row' : [...new Set([...d.before.keys(), ...d.weights.keys()])]
        .filter((node) => d.before.get(node) !== d.weights.get(node))
        .map((node) => `${node} ${d.before.get(node) ?? '–'} → ${d.weights.get(node) ?? '–'}`).join(', ');
      return make('div.row', make('b', region), make('span.grow.wrap', what), revert(() => drop(region)));
    });
    const orderLines = [...orders.drafts].map(([region, d]) => make('div.row', make('b', region), make('span.grow.wrap', `overflow: ${written(d.before)} → ${d.wanted ? written(d.wanted) : 'as in the file'}`), revert(() => dropOrder(region))));
    const n = lines.length + orderLines.length;
    part('changes').replaceChildren(make('h3', `Not saved yet: ${n} ${n === 1 ? 'change' : 'changes'}`), ...lines, ...orderLines);
    const clashes = [...drafts].filter(([, d]) => d.clash);
    const orderClashes = [...orders.drafts].filter(([, d]) => d.clash);
    part('clash').hidden = !clashes.length && !orderClashes.length;
    part('clash').replaceChildren(...clashes.flatMap(([region, d]) => [
      make('p.say.warn', make('span', `${region} was changed meanwhile ${d.clash.who}`)),
      make('p.wrap', 'It is now: ', make('b', list(d.clash.row))),
      make('p.wrap', 'You want: ', make('b', d.weights ? list(d.weights) : 'the file’s row')),
      make('div.row', button('Keep mine', () => keep(region)),
        button('Take theirs', () => drop(region))),
    ]), ...orderClashes.flatMap(([region, d]) => [
      make('p.say.warn', make('span', `The overflow of ${region} was changed meanwhile ${d.clash.who}`)),
      make('p.wrap', 'It is now: ', make('b', written(d.clash.order))),
      make('p.wrap', 'You want: ', make('b', d.wanted ? written(d.wanted) : 'as in the file')),
      make('div.row', button('Keep mine', () => { orders.keep(region); changed(); }), button('Take theirs', () => dropOrder(region))),
    ]));
    $('#save [type="submit"]', panel).disabled = clashes.length + orderClashes.length > 0;
  }

  function button(words, run) {
    const b = make('button.small', words);
    b.type = 'button';
    b.onclick = run;
    return b;
  }
  const revert = (run) => {
    const b = button('Revert', run);
    b.classList.add('quiet');
    return b;
  };

  function drop(region) {
    cells.close();
    drafts.delete(region);
    markAll(rowOf(region));
    changed();
  }

  function dropOrder(region) {
    orders.drop(region);
    changed();
  }

  /** keep resolves a clash: the draft is to replace what others made of the row. */
  function keep(region) {
    const draft = drafts.get(region);
    draft.version = draft.clash.version;
    draft.clash = null;
    markAll(rowOf(region));
    changed();
  }

  async function preview() {
    asking?.abort();
    asking = new AbortController();
    try {
      const got = await api('POST', '/whatif', question(), { signal: asking.signal });
      if (!drafts.size && !orders.drafts.size) return;
      part('verdict').replaceChildren(verdict(got));
      part('shares').replaceChildren(...[...new Set([...drafts.keys(), ...orders.drafts.keys()])].flatMap((region) => shares(region, got)));
      part('nodes').replaceChildren(...uses(got));
    } catch (err) {
      if (err.name === 'AbortError' || !(err instanceof Problem)) return;
      part('verdict')?.replaceChildren(make('p.say.bad', make('span', err.message)));
      part('shares').replaceChildren();
      part('nodes').replaceChildren();
    }
  }

  function shares(region, { now, then }) {
    const of = (forecast) => new Map((forecast.regions.find((r) => r.region === region)?.shares || []).map((s) => [s.node, s.share]));
    const [before, after] = [of(now), of(then)];
    const names = [...new Set([...after.keys(), ...before.keys()])].slice(0, 7);
    const stack = (row) => {
      const el = svg('svg', { class: 'stack', 'aria-hidden': 'true' });
      let x = 0;
      names.forEach((node, i) => {
        const width = (row.get(node) || 0) * 100;
        if (width) el.append(svg('rect', { class: `f${i}`, x: `${x}%`, width: `${width}%` }));
        x += width;
      });
      return el;
    };
    const legend = make('div.names', ...names.map((node, i) => make('span', make(`span.key.k${i}`), `${node} ${percent(before.get(node) || 0)} → ${percent(after.get(node) || 0)} %`)));
    return [make('h3', `Newcomers of ${region}`), make('div.shares', make('span', 'now'), stack(before), make('span', 'then'), stack(after), legend)];
  }

  function uses({ now, then }) {
    const before = new Map(now.nodes.map((n) => [n.node, n]));
    const moved = then.nodes.map((n) => ({ then: n, now: before.get(n.node) || { share: 0, listeners: 0 } }))
      .map((m) => ({ ...m, by: Math.abs(m.then.share - m.now.share) + Math.abs(m.then.listeners - m.now.listeners) / Math.max(1, then.listeners) }))
      .filter((m) => m.by > 0.001).sort((a, b) => b.by - a.by);
    if (!moved.length) return [make('p.dim', 'No node’s share changes.')];
    const most = 10;
    const body = make('tbody', ...moved.slice(0, most).map((m) => make('tr', make('th', m.then.node),
      make('td.pair', newBar({ ...m.then, used: m.now.listeners }), newBar({ ...m.then, used: m.then.listeners })),
      make('td.num', `${count(m.now.listeners)} → ${count(m.then.listeners)}`),
      make('td.num', `${percent(m.now.share)} → ${percent(m.then.share)} %`))));
    const head = make('thead', make('tr', make('th', 'Node'), make('th', 'now, then'), make('th.num', 'listeners'), make('th.num', 'of newcomers')));
    const rest = moved.length - most;
    return [make('table.use', head, body), ...(rest > 0 ? [make('small', `and ${rest} more nodes, which change less`)] : [])];
  }

  panel.addEventListener('click', (e) => {
    if (!e.target.closest('[data-discard]')) return;
    for (const region of [...orders.drafts.keys()]) orders.drop(region);
    for (const region of [...drafts.keys()]) drop(region);
    changed();
  });
  panel.addEventListener('submit', async (e) => {
    e.preventDefault();
    cells.close();
    const form = e.target;
    const rows = Object.fromEntries([...drafts].map(([region, d]) => [region, { version: d.version, weights: d.weights && Object.fromEntries(d.weights) }]));
    const save = $('[type="submit"]', form);
    save.disabled = true;
    try {
      const overflows = orders.edits();
      const got = await api('PUT', '/weights', { rows, overflows, why: form.why.value, ...(form.for.value ? { for: form.for.value } : {}) });
      for (const region of Object.keys(rows)) drop(region);
      for (const region of Object.keys(overflows)) dropOrder(region);
      done(`Saved: ${[...new Set([...Object.keys(rows), ...Object.keys(overflows)])].join(', ')}`, got.revision);
    } catch (err) {
      if (!(err instanceof Problem)) throw err;
      save.disabled = false;
      if (err.status !== 412) toast(err.message, { bad: true });
    }
    refresh();
  });

  /**
   * An update replaces the rows that differ. Drafts stay, and show a clash. The header
   * and rows of one answer belong together: if the columns differ, all rows are replaced.
   */
  refreshers.matrix = (old, fresh) => {
    const before = columns;
    const rows = [...fresh.tBodies[0].rows];
    columns = nodesOf(fresh);
    const moved = before.length !== columns.length || before.some((node, i) => node !== columns[i]);
    if (servedHead !== fresh.tHead.outerHTML) {
      servedHead = fresh.tHead.outerHTML;
      table.setAttribute('width', fresh.getAttribute('width'));
      table.tHead.replaceWith(document.adoptNode(fresh.tHead));
      filter.oninput();
    }
    takeOut([...served.keys()].filter((region) => !rows.some((tr) => tr.dataset.region === region)));
    rows.forEach((next, i) => {
      const region = next.dataset.region;
      const tr = rowOf(region);
      if (tr && !moved && served.get(region) === next.outerHTML) return;
      served.set(region, next.outerHTML);
      const draft = drafts.get(region);
      if (draft) rebase(draft, next);
      orders.rebase(next);
      if (tr) cells.replace(tr, next, (column) => columns.indexOf(before[column]));
      else table.tBodies[0].insertBefore(document.adoptNode(next), table.tBodies[0].rows[i]);
      if (draft) markAll(next);
      else orders.mark(next);
    });
    if (drafts.size || orders.drafts.size) changed();
  };

  /** rebase updates a draft to its row as it is now. */
  function rebase(draft, next) {
    const { before } = draft;
    const now = draft.before = saved(next);
    if (draft.version !== next.dataset.version) {
      if (draft.clash?.version === next.dataset.version) return;
      draft.clash = { version: next.dataset.version, row: now, who: $('th > small[data-stamp]', next)?.textContent ?? 'back to the file’s row' };
    } else if (draft.clash) {
      draft.clash = null; // the other change was undone
    } else if (draft.weights) { // a node that entered or left the file did so with its weight
      for (const [node, w] of now) if (!before.has(node)) draft.weights.set(node, w);
      for (const node of before.keys()) if (!now.has(node)) draft.weights.delete(node);
    }
  }

  /** takeOut removes the rows of regions that no longer exist, and their drafts. */
  function takeOut(regions) {
    for (const region of regions) {
      served.delete(region);
      cells.remove(rowOf(region));
    }
    const lost = regions.filter((region) => [drafts.delete(region), orders.drafts.delete(region)].some(Boolean));
    if (!lost.length) return;
    toast(`No longer a region, so that what you changed in it is gone: ${lost.join(', ')}`, { bad: true });
    changed();
  }
  addEventListener('beforeunload', (e) => { if (drafts.size || orders.drafts.size) e.preventDefault(); });
  setInterval(() => { if (!document.hidden) refresh(); }, 5000); // shares follow the load
  handlers.nodes = ({ nodes, gone = [] }) => {
    for (const n of nodes) {
      const state = table.tHead.rows[0].cells[columns.indexOf(n.id)]?.querySelector('.state');
      if (!state) continue;
      const w = wording(n);
      attr(state, 'data-s', w.shape);
      text(state, { fit: 'in service', unverified: 'not probed' }[w.shape] ?? w.shape.replace('_', ' '));
      attr(state, 'title', w.word);
    }
    if (gone.length || nodes.some((n) => !columns.includes(n.id))) refreshSoon();
  };
}

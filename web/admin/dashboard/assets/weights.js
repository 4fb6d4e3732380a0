// The matrix of weights. What is on the server stands in the table; what was
// changed here and not yet saved is a draft, which no news overwrites.

import { api, done, Problem, toast } from './api.js';
import { $, $$, attr, count, make, newBar, operate, percent, svg, text } from './dom.js';
import { handlers, refresh, refreshers } from './live.js';
import { verdict, wording } from './nodes.js';

export function weights() {
  const table = $('#matrix');
  const panel = $('#whatif');
  const idle = [...panel.childNodes];
  const nodeOf = $$('thead th', table).map((th) => th.dataset.node); // by column
  const columnOf = new Map(nodeOf.map((node, i) => [node, i]));
  const drafts = new Map(); // by region: {version, weights: Map, clash}; weights null: the file's row
  const rowOf = (region) => $(`tr[data-region="${CSS.escape(region)}"]`, table);
  let editing = null; // {cell, input}

  /** saved reads a row as the server has it: weight by node. */
  function saved(tr) {
    const row = new Map();
    for (const td of tr.cells) {
      const was = td.dataset.was ?? (td.firstChild?.nodeType === Node.TEXT_NODE ? td.firstChild.data : '');
      if (td.cellIndex && was !== '' && was !== '–') row.set(nodeOf[td.cellIndex], Number(was));
    }
    return row;
  }

  function draftOf(tr) {
    const region = tr.dataset.region;
    if (!drafts.has(region)) drafts.set(region, { version: tr.dataset.version, weights: saved(tr), clash: null });
    return drafts.get(region);
  }

  const same = (a, b) => a.size === b.size && [...a].every(([node, w]) => b.get(node) === w);

  /** put makes a weight part of the draft; NaN takes the node out of the row. */
  function put(td, weight) {
    const tr = td.parentNode;
    const draft = draftOf(tr);
    draft.weights ??= saved(tr);
    if (Number.isNaN(weight)) draft.weights.delete(nodeOf[td.cellIndex]);
    else draft.weights.set(nodeOf[td.cellIndex], weight);
    if (!draft.clash && same(draft.weights, saved(tr))) drafts.delete(tr.dataset.region);
    mark(td);
    changed();
  }

  /** mark shows a cell as its draft has it, with what it was. */
  function mark(td) {
    const tr = td.parentNode;
    const draft = drafts.get(tr.dataset.region);
    const was = td.dataset.was ?? td.firstChild?.data ?? '';
    const now = draft?.weights ? String(draft.weights.get(nodeOf[td.cellIndex]) ?? '') : was;
    if (now === was) {
      if ('was' in td.dataset) {
        if (td.lastChild?.nodeName === 'INPUT') td.firstChild.remove(); else td.firstChild?.remove();
        if (was) td.prepend(was);
        if (td.dataset.share) td.append(make('i', td.dataset.share));
        delete td.dataset.was;
        delete td.dataset.share;
        td.classList.remove('new');
      }
    } else {
      if (!('was' in td.dataset)) {
        td.dataset.was = was;
        const share = $('i', td);
        if (share) td.dataset.share = share.textContent;
        share?.remove();
        if (was) td.firstChild.remove();
        td.prepend('');
        td.classList.add('new');
      }
      td.firstChild.data = now || '–';
    }
    tr.classList.toggle('edited', drafts.has(tr.dataset.region));
  }

  function edit(td, first) {
    leave(true);
    const input = make('input');
    input.inputMode = 'decimal';
    input.setAttribute('aria-label', `Weight of ${nodeOf[td.cellIndex]} for ${td.parentNode.dataset.region}`);
    const draft = drafts.get(td.parentNode.dataset.region);
    const before = draft ? new Map(draft.weights) : null;
    const value = (draft?.weights ?? saved(td.parentNode)).get(nodeOf[td.cellIndex]);
    input.value = first ?? value ?? '';
    editing = { cell: td, input, before };
    td.append(input);
    input.focus();
    if (first === undefined) input.select();
    else read();
    input.oninput = read;
    input.onblur = () => leave(true);
  }

  /** read takes what was typed so far into the draft, so that the preview follows. */
  function read() {
    const { cell, input } = editing;
    const typed = input.value.trim().replace(',', '.');
    const weight = typed === '' ? NaN : Number(typed);
    const wrong = typed !== '' && !(weight >= 0 && weight < 1e9);
    cell.classList.toggle('wrong', wrong);
    input.setAttribute('aria-invalid', wrong);
    if (!wrong) put(cell, weight);
  }

  function leave(keep) {
    if (!editing) return;
    const { cell, input, before } = editing;
    editing = null;
    input.onblur = null;
    input.remove();
    cell.classList.remove('wrong');
    if (!keep) {
      const region = cell.parentNode.dataset.region;
      if (before) drafts.get(region).weights = before;
      else drafts.delete(region);
      for (const td of cell.parentNode.cells) if (td.cellIndex) mark(td);
      changed();
    }
  }

  // Moving about: one cell can be reached by Tab, arrows move from there.
  let current = $('tbody td', table);
  if (current) current.tabIndex = 0;
  function go(td) {
    if (!td || !td.cellIndex) return;
    current?.removeAttribute('tabindex');
    current = td;
    td.tabIndex = 0;
    td.focus();
    td.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
  function beside(td, rows, columns) {
    const row = table.tBodies[0].rows[td.parentNode.sectionRowIndex + rows];
    let i = td.cellIndex + columns;
    while (columns && row?.cells[i] && row.cells[i].offsetWidth === 0) i += columns; // not shown
    return row?.cells[i];
  }
  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  if (operate) {
    table.onclick = (e) => {
      const td = e.target.closest('tbody td');
      if (!td || e.target.nodeName === 'INPUT') return;
      go(td);
      edit(td);
    };
  }
  table.onkeydown = (e) => {
    const td = e.target.closest('tbody td');
    if (!td || e.ctrlKey || e.metaKey || e.altKey) return;
    if (editing) {
      const step = { Enter: [1, 0], Tab: [0, e.shiftKey ? -1 : 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
      if (e.key === 'Escape') { leave(false); td.focus(); } else if (step) { leave(true); go(beside(td, ...step) || td); } else return;
      e.preventDefault();
      return;
    }
    if (arrows[e.key]) go(beside(td, ...arrows[e.key]));
    else if (!operate) return;
    else if (e.key === 'Enter' || e.key === 'F2') edit(td);
    else if (/^[0-9.,]$/.test(e.key)) edit(td, e.key);
    else if (e.key === 'Delete' || e.key === 'Backspace') put(td, NaN);
    else return;
    e.preventDefault();
  };
  document.addEventListener('click', (e) => {
    const region = e.target.closest('[data-reset]')?.dataset.reset;
    if (!region) return;
    leave(true);
    draftOf(rowOf(region)).weights = null;
    remark(rowOf(region));
    changed();
  });
  function remark(tr) {
    for (const td of tr.cells) if (td.cellIndex) mark(td);
    tr.classList.toggle('edited', drafts.has(tr.dataset.region));
  }

  // Only the columns that are looked for, by a rule of the page's own.
  const hiding = new CSSStyleSheet();
  document.adoptedStyleSheets = [hiding];
  $('#columns').oninput = (e) => {
    const wanted = e.target.value.trim().toLowerCase();
    const out = $$('thead th[data-node]', table).filter((th) => wanted && !th.title.toLowerCase().includes(wanted));
    hiding.replaceSync(out.map((th) => `#matrix tr > :nth-child(${th.cellIndex + 1}) { display: none }`).join('\n'));
  };

  // What would happen

  const list = (row) => [...row].map(([node, w]) => `${node} ${w}`).join(', ') || 'nobody';
  const proposal = () => Object.fromEntries([...drafts].map(([region, d]) => [region, d.weights && Object.fromEntries(d.weights)]));
  let asking;
  let timer;

  function changed() {
    if (!drafts.size) {
      clearTimeout(timer);
      asking?.abort();
      panel.replaceChildren(...idle);
      return;
    }
    if (!$('#save', panel)) {
      panel.replaceChildren(idle.find((n) => n.nodeName === 'HEADER'), $('#draft').content.cloneNode(true));
    }
    tellChanges();
    clearTimeout(timer);
    timer = setTimeout(preview, 120);
  }

  const part = (name) => $(`[data-part="${name}"]`, panel);

  function tellChanges() {
    const lines = [...drafts].map(([region, d]) => {
      const before = saved(rowOf(region));
      const what = !d.weights ? 'back to the file’s row' : [...new Set([...before.keys(), ...d.weights.keys()])]
        .filter((node) => before.get(node) !== d.weights.get(node))
        .map((node) => `${node} ${before.get(node) ?? '–'} → ${d.weights.get(node) ?? '–'}`).join(', ');
      return make('div.row', make('b', region), make('span.grow.wrap', what), revert(region));
    });
    part('changes').replaceChildren(make('h3', `Not saved yet: ${lines.length} ${lines.length === 1 ? 'row' : 'rows'}`), ...lines);
    const clashes = [...drafts].filter(([, d]) => d.clash);
    part('clash').hidden = !clashes.length;
    part('clash').replaceChildren(...clashes.flatMap(([region, d]) => [
      make('p.say.warn', make('span', `${region} was changed meanwhile ${d.clash.who}`)),
      make('p.wrap', 'It is now: ', make('b', list(d.clash.row))),
      make('p.wrap', 'You want: ', make('b', d.weights ? list(d.weights) : 'the file’s row')),
      make('div.row', button('Keep mine', () => { d.version = d.clash.version; d.clash = null; changed(); }),
        button('Take theirs', () => drop(region))),
    ]));
    $('#save [type="submit"]', panel).disabled = clashes.length > 0;
  }

  function button(words, run) {
    const b = make('button.small', words);
    b.type = 'button';
    b.onclick = run;
    return b;
  }
  const revert = (region) => {
    const b = button('Revert', () => drop(region));
    b.classList.add('quiet');
    return b;
  };

  function drop(region) {
    leave(true);
    drafts.delete(region);
    remark(rowOf(region));
    changed();
  }

  async function preview() {
    asking?.abort();
    asking = new AbortController();
    try {
      const got = await api('POST', '/whatif', { rows: proposal() }, { signal: asking.signal });
      if (!drafts.size) return;
      part('verdict').replaceChildren(verdict(got));
      part('shares').replaceChildren(...[...drafts.keys()].flatMap((region) => shares(region, got)));
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
    if (!moved.length) return [make('p.dim', 'No node’s part changes.')];
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
    if (e.target.closest('[data-discard]')) for (const region of [...drafts.keys()]) drop(region);
  });
  panel.addEventListener('submit', async (e) => {
    e.preventDefault();
    leave(true);
    const form = e.target;
    const rows = Object.fromEntries([...drafts].map(([region, d]) => [region, { version: d.version, weights: d.weights && Object.fromEntries(d.weights) }]));
    const save = $('[type="submit"]', form);
    save.disabled = true;
    try {
      const got = await api('PUT', '/weights', { rows, why: form.why.value, ...(form.for.value ? { for: form.for.value } : {}) });
      for (const region of Object.keys(rows)) drop(region);
      done(`Saved: ${Object.keys(rows).join(', ')}`, got.revision);
    } catch (err) {
      if (!(err instanceof Problem)) throw err;
      save.disabled = false;
      if (err.status !== 412) toast(err.message, { bad: true });
    }
    refresh();
  });

  /** News: rows that differ are put in place; drafts stay, and tell of a clash. */
  refreshers.rows = (old, fresh) => {
    for (const next of [...fresh.rows]) {
      const tr = rowOf(next.dataset.region);
      if (!tr) continue;
      const draft = drafts.get(next.dataset.region);
      if (draft && next.dataset.version !== draft.version && draft.clash?.version !== next.dataset.version) {
        const who = $('th small.wrap', next)?.textContent || 'by the file, or because somebody’s change has ended';
        draft.clash = { version: next.dataset.version, row: saved(next), who };
      }
      if (editing?.cell.parentNode === tr) { tr.dataset.version = next.dataset.version; continue; } // its turn comes
      if (!draft && tr.isEqualNode(next)) continue;
      const at = current?.parentNode === tr ? current.cellIndex : 0;
      const focused = at && document.activeElement === current;
      tr.replaceWith(document.adoptNode(next));
      if (at) { current = next.cells[at]; current.tabIndex = 0; if (focused) current.focus(); }
      if (draft) remark(next);
      next.classList.toggle('stale', Boolean(draft?.clash));
    }
    if (drafts.size) changed();
  };
  addEventListener('beforeunload', (e) => { if (drafts.size) e.preventDefault(); });
  setInterval(() => { if (!document.hidden && !editing) refresh(); }, 5000); // shares follow the load
  handlers.nodes = ({ nodes }) => {
    for (const n of nodes) {
      const state = $('thead', table).rows[0].cells[columnOf.get(n.id)]?.querySelector('.state');
      if (!state) continue;
      const w = wording(n);
      attr(state, 'data-s', w.shape);
      text(state, w.shape.replace('_', ' '));
      attr(state, 'title', w.word);
    }
  };
}

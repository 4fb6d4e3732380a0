// Where regions overflow: drafts of their orders, and the dialog that edits one.

import { $, $$, make, text } from './dom.js';

/** written writes an order, like overflowText in weights.go. */
export const written = (order) => order.join(', then ') || 'none';
const ids = (s) => s.split(' ').filter(Boolean);
const same = (a, b) => a.length === b.length && a.every((id, i) => id === b[i]);

/** overflow keeps the drafts of the matrix's rows; changed is called when one has changed. */
export function overflow({ rowOf, changed }) {
  // By region, {version, before, wanted, clash}: the order as seen (version and before), as
  // wanted (null: the file's), and, if somebody changed it meanwhile, {version, order, who}.
  const drafts = new Map();
  const dialog = $('#order');
  const over = (tr) => $('.over', tr);
  const saved = (tr) => ids(over(tr).dataset.order);

  function mark(tr) {
    const draft = drafts.get(tr.dataset.region);
    const shown = draft ? draft.wanted ?? ids(over(tr).dataset.orderFile) : saved(tr);
    text($('small span', over(tr)), written(shown));
    over(tr).classList.toggle('new', Boolean(draft));
  }

  function put(region, wanted) {
    const tr = rowOf(region);
    const before = drafts.get(region)?.before ?? saved(tr);
    const file = wanted === null && Boolean($('[data-stamp]', over(tr)));
    const order = wanted ?? ids(over(tr).dataset.orderFile);
    if (!file && same(order, before) && !drafts.get(region)?.clash) drafts.delete(region);
    else drafts.set(region, { version: over(tr).dataset.orderVersion, before, wanted: file ? null : order, clash: null });
    mark(tr);
    changed();
  }

  document.addEventListener('click', (e) => {
    const region = e.target.closest('[data-overflow]')?.dataset.overflow;
    if (region) edit(region);
  });

  /** edit asks for an order. Regions that are not in it can be added; buttons move and remove. */
  function edit(region) {
    const tr = rowOf(region);
    const all = $$('tbody tr', tr.closest('table')).map((row) => row.dataset.region).filter((id) => id !== region);
    let order = [...(drafts.get(region)?.wanted ?? (drafts.has(region) ? ids(over(tr).dataset.orderFile) : saved(tr)))];
    const list = $('.order', dialog);
    const add = $('[name="add"]', dialog);
    text($('h2', dialog), `Overflow of ${region}`);

    function show(focus) {
      const button = (words, label, run, off = false) => {
        const b = make('button.small', words);
        b.type = 'button';
        b.setAttribute('aria-label', label);
        b.disabled = off;
        b.onclick = () => { run(); show(label); };
        return b;
      };
      const swap = (i, j) => { [order[i], order[j]] = [order[j], order[i]]; };
      list.replaceChildren(...order.map((id, i) => make('li', make('span', `${i + 1}. ${id}`),
        button('↑', `${id} earlier`, () => swap(i, i - 1), i === 0),
        button('↓', `${id} later`, () => swap(i, i + 1), i === order.length - 1),
        button('Remove', `Remove ${id}`, () => order.splice(i, 1)))));
      if (!order.length) list.append(make('li.empty', 'None: whoever finds no room is turned away.'));
      add.replaceChildren(new Option('a region …', ''), ...all.filter((id) => !order.includes(id)).map((id) => new Option(id)));
      if (focus) ($$('button', list).find((b) => b.getAttribute('aria-label') === focus && !b.disabled) ?? add).focus();
    }
    add.onchange = () => { if (add.value) { order.push(add.value); show(); add.focus(); } };
    $('[data-file]', dialog).onclick = () => { dialog.close('file'); };
    dialog.onclose = () => {
      if (dialog.returnValue === 'take') put(region, order);
      if (dialog.returnValue === 'file') put(region, null);
    };
    show();
    dialog.returnValue = '';
    dialog.showModal();
  }

  return {
    drafts,
    mark,
    proposal: () => Object.fromEntries([...drafts].map(([region, d]) => [region, d.wanted])),
    edits: () => Object.fromEntries([...drafts].map(([region, d]) => [region, { version: d.version, overflow: d.wanted }])),
    drop(region) {
      drafts.delete(region);
      mark(rowOf(region));
    },
    /** keep resolves a clash: the draft is to replace what others made of it. */
    keep(region) {
      const draft = drafts.get(region);
      Object.assign(draft, { version: draft.clash.version, before: draft.clash.order, clash: null });
    },
    /** rebase updates a draft to its row as it is now. */
    rebase(next) {
      const draft = drafts.get(next.dataset.region);
      const { orderVersion: version } = over(next).dataset;
      if (!draft) return;
      if (draft.version === version) draft.clash = null;
      else draft.clash = { version, order: saved(next), who: $('[data-stamp]', over(next))?.textContent ?? 'back to the file’s' };
    },
  };
}

// A table of numbers that are edited in place. Tab reaches one cell, arrow keys move from
// there, and Enter or a digit opens a field in the cell.

import { $, make } from './dom.js';

const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * grid makes the cells of a table's body editable. value(td) returns a cell's number,
 * NaN if it is empty; put(td, value) takes what is typed, at each keystroke; label(td)
 * returns a cell's name. If write is false, cells can be reached but not edited.
 */
export function grid(table, { write, value, put, label }) {
  let current = null; // the cell that Tab reaches
  let field = null; // the open field: {cell, input, before}

  function reach(td) {
    current?.removeAttribute('tabindex');
    current = td;
    if (td) td.tabIndex = 0;
  }

  function go(td) {
    if (!td?.cellIndex) return; // the first column names the row
    reach(td);
    td.focus();
    td.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function beside(td, rows, columns) {
    const row = table.tBodies[0].rows[td.parentNode.sectionRowIndex + rows];
    let i = td.cellIndex + columns;
    while (columns && row?.cells[i]?.offsetWidth === 0) i += columns; // the column is hidden
    return row?.cells[i];
  }

  /** open opens a field in a cell, which is empty if a digit was pressed. */
  function open(td, empty = false) {
    close();
    const before = value(td);
    const input = make('input');
    input.inputMode = 'decimal';
    input.setAttribute('aria-label', label(td));
    input.value = empty || Number.isNaN(before) ? '' : before;
    field = { cell: td, input, before };
    td.append(input);
    input.focus();
    input.select();
    input.oninput = read;
    input.onblur = close;
  }

  function read() {
    const { cell, input } = field;
    const typed = input.value.trim().replace(',', '.');
    const number = typed === '' ? NaN : Number(typed);
    const wrong = typed !== '' && !(number >= 0 && number <= 1e9);
    cell.classList.toggle('wrong', wrong);
    input.setAttribute('aria-invalid', wrong);
    if (!wrong) put(cell, number);
  }

  function close() {
    if (!field) return;
    const { cell, input } = field;
    field = null;
    input.onblur = null; // removing the field must not close it again
    input.remove();
    cell.classList.remove('wrong');
  }

  if (write) {
    table.addEventListener('click', (e) => {
      const td = e.target.closest('tbody td');
      if (!td || e.target.nodeName === 'INPUT') return;
      go(td);
      open(td);
    });
  }
  table.addEventListener('keydown', (e) => {
    const td = e.target.closest('tbody td');
    if (!td || e.ctrlKey || e.metaKey || e.altKey) return;
    const { key } = e;
    if (field) {
      const step = { Enter: [1, 0], Tab: [0, e.shiftKey ? -1 : 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
      if (!step && key !== 'Escape') return;
      const { before } = field;
      close();
      if (step) {
        go(beside(td, ...step) ?? td);
      } else {
        put(td, before);
        td.focus();
      }
    } else if (arrows[key]) {
      go(beside(td, ...arrows[key]));
    } else if (!write) {
      return;
    } else if (key === 'Enter' || key === 'F2') {
      open(td);
    } else if (/^[0-9.,]$/.test(key)) {
      open(td, true);
      return; // the field gets the key
    } else if (key === 'Delete' || key === 'Backspace') {
      put(td, NaN);
    } else {
      return;
    }
    e.preventDefault();
  });
  reach($('tbody td', table));

  return {
    close,
    /** replace replaces a row, and keeps the current cell, the focus and what is being typed; moved(i) returns where column i is now, less than 0 if it is gone. */
    replace(old, fresh, moved = (i) => i) {
      const held = current?.parentNode === old;
      const at = held ? moved(current.cellIndex) : 0;
      const focused = held && document.activeElement === current;
      const typing = field?.cell.parentNode === old ? field : null;
      const cell = typing && fresh.cells[moved(typing.cell.cellIndex)];
      const { selectionStart: from, selectionEnd: to } = typing?.input ?? {};
      if (typing && !cell) close();
      if (cell) typing.input.onblur = null;
      old.replaceWith(document.adoptNode(fresh));
      if (held) reach(fresh.cells[at] ?? $('tbody td', table));
      if (focused) current?.focus();
      if (!cell) return;
      typing.cell = cell;
      typing.cell.append(typing.input);
      typing.input.focus();
      typing.input.setSelectionRange(from, to);
      typing.input.onblur = close;
    },
    /** remove removes a row. */
    remove(tr) {
      if (field?.cell.parentNode === tr) close();
      tr.remove();
      if (!current?.isConnected) reach($('tbody td', table));
    },
  };
}

// Small plots of the last hour in tables' cells, from what the director keeps.

import { api } from './api.js';
import { attr, svg } from './dom.js';

const length = 60; // values, one a minute
const most = 40; // names in one request

/**
 * trends returns a function that draws the last hour of a series of a kind into a cell.
 * What is wanted in one go is asked for in one request, and again after a minute.
 */
export function trends(kind) {
  const known = new Map(); // by name: {at, values}
  let wanted = new Map(); // by name: the cell
  let due = false;

  async function ask() {
    due = false;
    const cells = wanted;
    wanted = new Map();
    const names = [...cells.keys()];
    for (let i = 0; i < names.length; i += most) {
      const some = names.slice(i, i + most);
      try {
        const got = await api('GET', `/plots?by=${kind}&span=hour&points=${length}&most=1000${some.map((n) => `&name=${encodeURIComponent(n)}`).join('')}`);
        for (const name of some) known.set(name, { at: performance.now(), values: got.series.find((s) => s.name === name)?.values ?? [] });
      } catch {
        return; // the next minute tries again
      }
      for (const name of some) paint(cells.get(name), known.get(name).values);
    }
  }

  return (name, cell) => {
    const have = known.get(name);
    if (have) paint(cell, have.values);
    if (have && performance.now() - have.at < 60_000) return;
    known.set(name, { at: performance.now(), values: have?.values ?? [] });
    wanted.set(name, cell);
    if (!due) setTimeout(ask, 50);
    due = true;
  };
}

function paint(cell, values) {
  const seen = values.filter((v) => v !== null);
  if (!cell.firstChild) {
    const chart = svg('svg', { class: 'spark', viewBox: '0 0 100 22', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    chart.append(svg('path', {}));
    cell.append(chart);
  }
  const top = Math.max(1, ...seen);
  const low = Math.min(...seen);
  const flat = Math.max(top - low, top * 0.05); // small fluctuations are no trend
  const step = 100 / (values.length - 1 || 1);
  const to = (v, i) => `${(values[i - 1] ?? null) === null ? 'M' : 'L'}${(i * step).toFixed(1)},${(20 - ((v - low) / flat) * 18).toFixed(1)}`;
  attr(cell.firstChild.firstChild, 'd', values.map((v, i) => (v === null ? '' : to(v, i))).join(''));
}

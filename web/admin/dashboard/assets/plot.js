// The moving plot: stacked areas of the last five minutes.

import { $, $$, attr, count, make, rate, text } from './dom.js';
import { handlers, missed, remember, remembered } from './live.js';

export function plot() {
  const length = 300; // seconds
  const largest = 6; // series with a colour of their own; the rest is one series
  const canvas = $('#plot canvas');
  const ctx = canvas.getContext('2d');
  const past = remembered('traffic', []); // null: no sample
  let last = performance.now(); // when the newest sample came
  const places = new Map(); // by series: its colour's number
  let by = 'answers';

  function series() {
    const totals = new Map();
    for (const p of past) for (const [name, v] of Object.entries(p?.[by] || {})) totals.set(name, (totals.get(name) || 0) + v);
    const names = [...totals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, largest).map(([name]) => name);
    for (const name of places.keys()) if (!names.includes(name)) places.delete(name);
    for (const name of names) {
      if (!places.has(name)) places.set(name, [0, 1, 2, 3, 4, 5].find((i) => ![...places.values()].includes(i)));
    }
    names.sort((a, b) => places.get(a) - places.get(b));
    const all = names.map((name) => ({ name, colour: places.get(name), values: past.map((p) => p?.[by]?.[name] || 0) }));
    if (totals.size > largest) {
      const rest = past.map((p) => Object.entries(p?.[by] || {}).reduce((sum, [name, v]) => sum + (names.includes(name) ? 0 : v), 0));
      all.push({ name: `${totals.size - largest} others`, colour: 6, values: rest });
    }
    return all;
  }

  function legend(all) {
    const body = $('.legend tbody');
    const seen = past.filter(Boolean).length;
    while (body.rows.length < all.length) body.append(make('tr', make('th.name', make('span.key'), make('span')), make('td.num'), make('td.num')));
    while (body.rows.length > all.length) body.lastChild.remove();
    all.forEach((s, i) => {
      const [name, now, mean] = body.rows[i].cells;
      attr(name.firstChild, 'class', `key k${s.colour}`);
      text(name.lastChild, s.name);
      attr(name, 'title', s.name);
      text(now, rate(s.values.at(-1) || 0));
      text(mean, rate(s.values.reduce((a, b) => a + b, 0) / Math.max(1, seen)));
    });
  }

  function draw() {
    const all = series();
    legend(all);
    const scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const sums = past.map((_, i) => all.reduce((sum, s) => sum + s.values[i], 0));
    const top = nice(Math.max(1, ...sums));
    const box = { left: 38, right: width - 8, top: 8, bottom: height - 20 };
    const x = (i) => box.right - (past.length - 1 - i) * ((box.right - box.left) / (length - 1));
    const y = (v) => box.bottom - (v / top) * (box.bottom - box.top);
    const style = getComputedStyle(canvas);
    ctx.font = `11px ${style.fontFamily}`;
    ctx.fillStyle = getComputedStyle($('.legend thead th')).color;
    ctx.strokeStyle = style.borderTopColor; // the colour of a border that has no width
    ctx.lineWidth = 1;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'middle';
    for (const v of [0, top / 2, top]) {
      ctx.fillText(v % 1 ? v.toFixed(1) : count(v), box.left - 8, y(v));
      ctx.beginPath();
      ctx.moveTo(box.left, Math.round(y(v)) + 0.5);
      ctx.lineTo(box.right, Math.round(y(v)) + 0.5);
      ctx.stroke();
    }
    ctx.textBaseline = 'alphabetic';
    for (let m = 0; m <= 5; m++) {
      ctx.textAlign = m === 0 ? 'right' : m === 5 ? 'left' : 'center';
      ctx.fillText(m === 0 ? 'now' : width < 500 ? `${m} min` : `${m} min ago`, box.right - (m * 60 * (box.right - box.left)) / (length - 1), height - 4);
    }
    const surface = getComputedStyle($('#plot').parentElement).backgroundColor;
    const below = past.map(() => 0);
    const runs = []; // runs of samples without a gap
    past.forEach((p, i) => { if (p) past[i - 1] ? runs.at(-1).push(i) : runs.push([i]); });
    all.forEach((s, k) => {
      ctx.fillStyle = getComputedStyle($('.legend tbody').rows[k].querySelector('.key')).backgroundColor;
      for (const run of runs) {
        ctx.beginPath();
        for (const i of run) ctx.lineTo(x(i), y(below[i] + s.values[i]));
        for (const i of run.toReversed()) ctx.lineTo(x(i), y(below[i]));
        ctx.closePath();
        ctx.fill();
      }
      s.values.forEach((v, i) => { below[i] += v; });
      ctx.strokeStyle = surface;
      ctx.lineWidth = 1.2;
      ctx.beginPath(); // a seam separates neighbours, whatever their colours
      for (const run of runs) run.forEach((i, at) => ctx[at ? 'lineTo' : 'moveTo'](x(i), y(below[i])));
      ctx.stroke();
    });
    const now = sums.at(-1) || 0;
    $$('[data-f="rate"]').forEach((el) => text(el, rate(now)));
    attr(canvas, 'aria-label', `Decisions per second, stacked: ${rate(now)} now. ` + all.map((s) => `${s.name} ${rate(s.values.at(-1) || 0)}`).join(', '));
  }

  /** nice returns the smallest round number that is not below v and whose half is round, too. */
  function nice(v) {
    const size = 10 ** Math.floor(Math.log10(v));
    return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].find((m) => m * size >= v) * size;
  }

  handlers.traffic = (t) => {
    past.push(...missed(last, 1000, length), { answers: t.answers, nodes: t.nodes, regions: t.regions });
    past.splice(0, past.length - length);
    last = performance.now();
    if (!document.hidden) requestAnimationFrame(draw);
  };
  const tabs = $$('[data-by]');
  const choose = (tab) => {
    by = tab.dataset.by;
    places.clear();
    for (const t of tabs) {
      attr(t, 'aria-selected', t === tab);
      t.tabIndex = t === tab ? 0 : -1;
    }
    draw();
  };
  tabs.forEach((tab, i) => {
    tab.onclick = () => choose(tab);
    tab.onkeydown = (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      next.focus();
      choose(next);
    };
  });
  addEventListener('pagehide', () => remember('traffic', past));
  addEventListener('resize', () => requestAnimationFrame(draw));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  document.addEventListener('themed', draw);
  draw();
}

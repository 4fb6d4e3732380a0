// Plots of what the director keeps over time, drawn by uPlot.

import uPlot from './uplot.js';
import { api } from './api.js';
import { $, $$, attr, count, make, rate, text } from './dom.js';

const kinds = { total: 'all', node: 'by node', region: 'by region', mount: 'by mount', answer: 'answers/s' };
const often = { hour: 10_000, day: 60_000, week: 300_000 }; // ms between two requests
const pad = (n) => String(n).padStart(2, '0');
const at = (s) => new Date(s * 1000);
const minute = (s) => `${pad(at(s).getUTCHours())}:${pad(at(s).getUTCMinutes())}`;
const date = (s) => `${at(s).getUTCDate()} ${['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'][at(s).getUTCMonth()]}`;

/** plots draws every plot of the page. data-plot has the kinds to choose from, or kind=name. */
export function plots() {
  for (const card of $$('[data-plot]')) plot(card);
}

function plot(card) {
  const figure = $('figure', card);
  const body = $('tbody', card);
  const [only, name] = card.dataset.plot.includes('=') ? card.dataset.plot.split(/=(.*)/s) : [];
  let by = only ?? 'total';
  let span = 'hour';
  let shown; // the newest answer
  let chart;
  let timer;
  let asking = 0;

  async function load() {
    clearTimeout(timer);
    timer = setTimeout(load, often[span]);
    if (document.hidden) return;
    const turn = ++asking;
    try {
      const got = await api('GET', `/plots?by=${by}&span=${span}${name === undefined ? '' : `&name=${encodeURIComponent(name)}`}`);
      if (turn === asking) { shown = got; draw(); }
    } catch { /* the stream tells when the director is away */ }
  }

  const nameOf = (s) => s.name || (shown.others ? `${shown.others} others` : 'all');
  const format = (v) => (v === null || v === undefined ? 'not known' : by === 'answer' ? rate(v) : (shown.reckoned ? '≈ ' : '') + count(v));

  /** legend writes the values at a step; by default at the newest that is known. */
  function legend(step) {
    while (body.rows.length < shown.series.length) body.append(make('tr', make('th.name', make('span.key'), make('span')), make('td.num'), make('td.num')));
    while (body.rows.length > shown.series.length) body.lastChild.remove();
    shown.series.forEach((s, i) => {
      const [label, now, peak] = body.rows[i].cells;
      attr(label.firstChild, 'class', `key k${s.name || !shown.others ? i % 6 : 6}`);
      text(label.lastChild, nameOf(s));
      text(now, format(step === undefined ? s.values.findLast((v, j) => v !== null && j >= s.values.length - 2) : s.values[step]));
      text(peak, format(s.values.reduce((most, v) => (v !== null && (most === null || v > most) ? v : most), null)));
    });
    text($('[data-at]', card), step === undefined ? 'now' : (span === 'week' ? `${date(chart.data[0][step])} ` : '') + minute(chart.data[0][step]));
  }

  function draw() {
    legend();
    const start = Date.parse(shown.start) / 1000;
    const length = shown.series[0]?.values.length ?? 0;
    const times = Array.from({ length }, (_, i) => start + i * shown.step_s);
    const data = [times, ...shown.series.map((s) => s.values)];
    const same = chart?.names === JSON.stringify([by, span, shown.series.map((s) => s.name)]);
    const note = $('[data-note]', card);
    const first = shown.series.length ? Math.min(...shown.series.map((s) => s.values.findIndex((v) => v !== null)).filter((i) => i >= 0)) : -1;
    note.hidden = !(shown.reckoned || first > length / 10 || !length);
    text(note, !length ? 'Nothing is known of this span yet.' : shown.reckoned ? 'Reckoned from whom this director has sent to each node.' : `This director's record begins ${first > 0 && times[first] ? `${date(times[first])} ${minute(times[first])}` : 'later'}; gaps are what nobody knew.`);
    attr(figure, 'aria-label', `Listeners over the last ${span}: ${shown.series.map((s, i) => `${nameOf(s)} ${body.rows[i].cells[1].textContent} now, ${body.rows[i].cells[2].textContent} at most`).join('; ') || 'nothing is known'}`);
    if (same) { chart.setData(data); return; }
    chart?.destroy();
    chart = undefined;
    if (!length) return;
    const colour = (el, property) => getComputedStyle(el)[property];
    const ink = colour($('thead th', card), 'color');
    const line = colour(card, 'borderTopColor');
    const font = `11px ${colour(card, 'fontFamily')}`;
    const strokes = shown.series.map((_, i) => colour($('.key', body.rows[i]), 'backgroundColor'));
    const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    chart = new uPlot({
      ...size(),
      tzDate: (s) => uPlot.tzDate(at(s), 'Etc/UTC'),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (u, low, high) => [0, (high || 1) * 1.08] } },
      axes: [
        { ...axis, size: 26, space: 56, values: (u, splits, a, space, step) => splits.map((s) => (step >= 86400 || s % 86400 === 0 ? date(s) : minute(s))) },
        { ...axis, size: 48, space: 34, values: (u, splits) => splits.map((v) => (v % 1 ? v.toFixed(1) : count(v))) },
      ],
      series: [{}, ...shown.series.map((s, i) => ({
        stroke: strokes[i], width: 1.6, spanGaps: false, points: { show: false },
        ...(shown.series.length === 1 ? { fill: `color-mix(in srgb, ${strokes[i]} 16%, transparent)` } : s.name ? {} : { dash: [4, 3] }),
      }))],
      hooks: { setCursor: [(u) => legend(u.cursor.idx ?? undefined)] },
    }, data, figure);
    chart.names = JSON.stringify([by, span, shown.series.map((s) => s.name)]);
  }

  const size = () => ({ width: Math.max(200, figure.clientWidth), height: figure.clientHeight });
  const again = () => { chart?.destroy(); chart = undefined; if (shown) draw(); };

  const group = $('[data-kinds]', card);
  const choices = only ? [] : card.dataset.plot.split(' ');
  for (const kind of choices) {
    const b = make('button', kinds[kind]);
    b.dataset.by = kind;
    attr(b, 'aria-pressed', kind === by);
    group.append(b);
  }
  const press = (b, others) => others.forEach((other) => attr(other, 'aria-pressed', other === b));
  card.addEventListener('click', (e) => {
    const b = e.target.closest('button');
    if (b?.dataset.by) { by = b.dataset.by; press(b, $$('[data-by]', card)); load(); }
    if (b?.dataset.span) { span = b.dataset.span; press(b, $$('[data-span]', card)); load(); }
  });
  new ResizeObserver(() => { if (chart && Math.abs(chart.width - size().width) > 1) chart.setSize(size()); }).observe(figure);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  document.addEventListener('themed', again);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) load(); });
  load();
}

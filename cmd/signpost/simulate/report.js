// Draws a report's plots. uPlot comes before.
function draw(report) {
  const s = report.samples;
  const [hours, minutes, seconds = 0] = report.from.split('+')[0].split(':').map(Number);
  const start = hours * 3600 + minutes * 60 + seconds;
  const times = s.listening.map((_, i) => start + i * s.every_s);
  const two = (n) => String(n).padStart(2, '0');
  const clock = (t) => `${two(Math.floor(t / 3600) % 24)}:${two(Math.floor(t / 60) % 60)}${t % 60 ? `:${two(t % 60)}` : ''}`;
  const probe = document.body.appendChild(document.createElement('i'));
  const colour = (value) => { probe.style.color = value; return getComputedStyle(probe).color; };
  const axis = { stroke: colour('var(--faint)'), grid: { stroke: colour('var(--line)'), width: 1 }, ticks: { show: false } };
  const incrs = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]; // seconds
  const blue = colour('light-dark(#0b5cad, #6cb2ff)');
  const red = colour('var(--bad)');
  const faint = colour('var(--faint)');
  const plot = (id, lines) => {
    const at = document.getElementById(id);
    const chart = new uPlot({
      width: at.clientWidth, height: Number(at.dataset.height),
      scales: { x: { time: false }, y: { range: (u, low, high) => [0, (high || 1) * 1.08] } },
      axes: [{ ...axis, space: 64, incrs, values: (u, splits) => splits.map(clock) }, { ...axis, size: 60 }],
      series: [{ label: 'at', value: (u, v) => (v == null ? '' : clock(v)) }, ...lines.map(([label, , stroke, dash]) => ({ label, stroke, dash, width: 1.6, points: { show: false } }))],
      cursor: { drag: { x: true, y: false } },
    }, [times, ...lines.map(([, values]) => values)], at);
    new ResizeObserver(() => { if (Math.abs(chart.width - at.clientWidth) > 1) chart.setSize({ width: at.clientWidth, height: chart.height }); }).observe(at);
  };
  const flat = (value) => times.map(() => value);
  plot('listeners', [...(report.replay ? [] : [['expected', s.crowd, faint, [4, 3]]]), ['listening', s.listening, blue], ['waiting', s.waiting, red]]);
  report.nodes.forEach((n, i) => plot(`node${i}`, [
    ['listeners', s.nodes[n.id], blue],
    ...(s.was?.[n.id] ? [['as it was', s.was[n.id], faint]] : []),
    ...(n.target ? [['target', flat(n.target), faint, [4, 3]]] : []),
    ...(n.limit ? [['limit', flat(n.limit), red, [4, 3]]] : []),
  ]));
  probe.remove();
}

// A proposal is played through by the director, from the present state on, while it is looked at.

import { Problem } from './api.js';
import { count, make, percent } from './dom.js';

/**
 * player offers to play what question() proposes. The director stops as soon as nobody
 * waits for it: when stop() is called, or the page is left.
 */
export function player(question) {
  const el = make('div');
  let playing;

  function offer(...before) {
    const start = make('button.small', 'Play it through');
    start.type = 'button';
    start.title = 'the next 15 minutes, from who listens now on';
    start.onclick = play;
    el.replaceChildren(...before, start);
  }

  function stop() {
    playing?.abort();
    playing = undefined;
    offer();
  }

  async function play() {
    const turn = playing = new AbortController();
    const bar = make('progress');
    bar.max = 1;
    const cancel = make('button.small.quiet', 'Cancel');
    cancel.type = 'button';
    cancel.onclick = stop;
    el.replaceChildren(make('p.dim', 'The next 15 minutes are played …'), make('div.row', bar, cancel));
    try {
      const report = await follow(question(), turn.signal, (part) => { bar.value = part; });
      if (turn === playing) offer(...told(report));
    } catch (err) {
      if (turn !== playing || err.name === 'AbortError') return;
      offer(make('p.say.bad', make('span', err instanceof Problem ? err.message : 'The director does not answer any more; try again.')));
    }
    playing = undefined;
  }

  offer();
  return { el, stop };
}

/** follow reads the answer line by line, and returns the report in the last one. */
async function follow(question, signal, progress) {
  const answer = await fetch('/api/v1/whatif/simulation', {
    method: 'POST', headers: { Accept: 'application/x-ndjson', 'Content-Type': 'application/json' }, body: JSON.stringify(question), signal,
  });
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? '')).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const got = JSON.parse(line);
      if (got.error) throw new Problem(0, { detail: got.error });
      if (got.report) return got.report;
      progress(got.progress);
    }
    if (done) throw new Problem(0, { detail: 'The director stopped before it had played all.' });
  }
}

/** told says what came of it: who waited or was refused, and the most that each node held. */
function told(report) {
  const { audio, answers, nodes } = report;
  const [level, words] = answers.refused > 0 ? ['bad', `${count(answers.refused)} requests would be refused`]
    : audio.lost > 0 ? ['warn', `${count(audio.lost)} of ${count(audio.listeners)} listeners would give up`]
    : ['good', 'Nobody would be refused or give up'];
  const most = 10;
  const loaded = [...nodes].sort((a, b) => b.most / (b.target || Infinity) - a.most / (a.target || Infinity) || b.most - a.most);
  const rows = loaded.slice(0, most).map((n) => make('tr', make('th', n.id), make('td.num', count(n.most)), make('td.num', n.target ? `${percent(n.most / n.target)} %` : '–'), make('td.num', n.most_at)));
  const rest = loaded.length - most;
  return [
    make('h3', `Played, ${report.from} to ${report.until}`), make(`p.say.${level}`, make('span', words)),
    make('small', `${count(audio.most_silent)} waited for audio at once, the longest for ${Math.round(audio.longest_wait_s)} s`),
    make('table.use', make('thead', make('tr', make('th', 'Node'), make('th.num', 'at the most'), make('th.num', 'of target'), make('th.num', 'at'))), make('tbody', ...rows)),
    ...(rest > 0 ? [make('small', `and ${rest} more nodes, which are loaded less`)] : []),
    ...(report.remarks ?? []).map((said) => make('small', said)),
  ];
}

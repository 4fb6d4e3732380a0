// The list of mounts, and the player.

import { $, $$, attr, text } from './dom.js';
import { handlers, refreshers, refreshSoon, replace } from './live.js';
import { trends } from './trends.js';

export default function mounts() {
  const player = $('#player');
  const audio = $('audio', player);
  let playing = '';
  const press = () => $$('[data-play]').forEach((b) => attr(b, 'aria-pressed', b.dataset.play === playing && !audio.paused));
  const say = (words) => text($('[data-state]', player), words);
  document.addEventListener('click', (e) => {
    const b = e.target.closest('[data-play], [data-stop]');
    if (!b) return;
    if ('stop' in b.dataset || (b.dataset.play === playing && !audio.paused)) {
      audio.pause();
      audio.removeAttribute('src'); // so that it no longer counts as a listener
      audio.load();
      player.hidden = 'stop' in b.dataset;
      playing = '';
    } else {
      playing = b.dataset.play;
      audio.src = playing;
      player.hidden = false;
      text($('[data-title]', player), b.closest('tr').dataset.mount);
      say('connecting');
      audio.play().catch((err) => { if (err.name !== 'AbortError') say('it cannot be played here'); });
    }
    press();
  });
  for (const [event, words] of [['playing', 'playing, as a listener who comes now hears it'], ['waiting', 'waiting for data'], ['error', 'it cannot be played here'], ['pause', 'stopped']]) {
    audio.addEventListener(event, () => { if (playing) say(words); press(); });
  }
  const trend = trends('mount');
  const draw = () => $$('[data-trend="mount"]').forEach((cell) => trend(cell.closest('tr').dataset.mount, cell));
  handlers.mounts = () => refreshSoon();
  refreshers.mounts = (old, fresh) => { replace(old, fresh); press(); draw(); };
  setInterval(draw, 60_000);
  draw();
}

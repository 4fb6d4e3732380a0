// The dashboard in the browser. The server renders the pages, and escapes what nodes and
// operators say. The modules keep numbers up to date, and send changes.

import { api, ask, attempt, done, Problem, undo } from './api.js';
import { $, $$, attr, make, page, text } from './dom.js';
import { handlers, refresh, refreshers, refreshSoon, replace, watch } from './live.js';
import { changes } from './nodes.js';
import { overview } from './overview.js';
import { plots } from './plot.js';
import { trends } from './trends.js';
import { weights } from './weights.js';

// Clients and their rules

function clients() {
  async function add(body) {
    return attempt(async () => {
      const got = await api('POST', '/rules', body);
      done(`The rule “${body.rule.name || got.id}” is in force`, got.revision);
      refresh();
      return got;
    });
  }
  document.addEventListener('click', async (e) => {
    const b = e.target.closest('button');
    if (!b) return;
    const { suggest, removeRule, open, close } = b.dataset;
    if (suggest) {
      b.disabled = true;
      await add({ rule: JSON.parse(suggest), why: b.dataset.why || 'suggested: it seems unable to follow redirects' });
      b.disabled = false;
    } else if (removeRule) {
      const said = await ask({ title: `Remove the rule “${b.dataset.name}”?`, detail: 'Its clients are answered as the next rule says, or by a redirect.', action: 'Remove', lasting: false });
      if (!said) return;
      await attempt(async () => {
        const got = await api('DELETE', `/rules/${encodeURIComponent(removeRule)}`, { why: said.why }, { version: b.dataset.version });
        done('The rule is removed', got.revision);
        refresh();
      });
    } else if (open || close) {
      const form = document.getElementById(open || close);
      form.hidden = Boolean(close);
      if (open) $('input', form).focus();
    }
  });
  const form = $('#new-rule');
  form?.addEventListener('submit', async (e) => {
    e.preventDefault();
    const { name, answer, user_agent: agent, icy, or_redirect: orRedirect, why } = form;
    const rule = { name: name.value, user_agent: agent.value, answer: answer.value };
    if (answer.value === 'proxy') Object.assign(rule, icy.checked && { icy: true }, orRedirect.checked && { or_redirect: true });
    if (await add({ rule, why: why.value, ...(form.for.value ? { for: form.for.value } : {}) })) {
      form.reset();
      form.hidden = true;
    }
  });
}

// Mounts, and the player

function mounts() {
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

function history() {
  document.addEventListener('click', async (e) => {
    const revision = e.target.closest('[data-undo]')?.dataset.undo;
    if (!revision) return;
    const said = await ask({ title: `Take back revision ${revision}?`, detail: 'What it changed becomes as it was before.', action: 'Undo', lasting: false });
    if (said) await undo(revision, said.why);
    refresh();
  });
}

function login() {
  const form = $('#login');
  form.onsubmit = async (e) => {
    e.preventDefault();
    const wrong = $('[role="alert"]', form);
    wrong.hidden = true;
    try {
      await api('POST', '/session', { token: form.token.value });
      const next = new URLSearchParams(location.search).get('next') || '/';
      location.replace(/^\/(?!\/)/.test(next) ? next : '/');
    } catch (err) {
      if (!(err instanceof Problem)) throw err;
      wrong.replaceChildren(make('span', err.status === 401 ? 'This token is not known here.' : err.message));
      wrong.hidden = false;
      form.token.select();
    }
  };
}

// Every page

$('#theme')?.addEventListener('change', (e) => {
  const theme = e.target.value;
  document.cookie = `signpost_theme=${theme}; path=/; SameSite=Strict; max-age=${theme ? 31_536_000 : 0}`;
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new Event('themed'));
});
$('[data-logout]')?.addEventListener('click', () => attempt(async () => {
  await api('DELETE', '/session');
  location.assign('/login');
}));
addEventListener('keydown', (e) => {
  const find = $('[aria-keyshortcuts="/"]');
  if (e.key !== '/' || !find || e.target.closest('input, select, textarea')) return;
  e.preventDefault();
  find.focus();
});

const node = () => { plots(); changes(); history(); };
({ overview: () => { overview(); mounts(); }, weights, clients, mounts, mount: plots, node, history, login })[page]?.();
if (page !== 'login') {
  watch();
}

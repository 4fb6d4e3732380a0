// The dashboard in the browser. The server renders the pages, and escapes what nodes and
// operators say. The modules keep numbers up to date, and send changes. This one is on every
// page, and loads the page's own.

import { api, attempt } from './api.js';
import { $, page } from './dom.js';
import { watch } from './live.js';

$('#theme')?.addEventListener('change', (e) => {
  const theme = e.target.value;
  document.cookie = `signpost_theme=${theme}; path=/; SameSite=Strict; max-age=${theme ? 31_536_000 : 0}`;
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new Event('themed'));
});
$('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }); // phones scroll the navigation
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

const own = $('link[rel="modulepreload"]')?.href;
if (own) {
  // A click on a button that does nothing yet is done once it does.
  let early;
  const keep = (e) => { early = e.target.closest('button:not(form *, [data-logout])') ?? early; };
  document.addEventListener('click', keep);
  const { default: begin } = await import(own);
  document.removeEventListener('click', keep);
  begin();
  early?.click();
}
if (page !== 'login') watch();

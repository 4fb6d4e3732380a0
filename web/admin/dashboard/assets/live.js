// The live connection. An event comes every second. Silence means that the data shown is
// old, and the page says so.

import { api, patience } from './api.js';
import { $, $$, ago, attr, clock, day, make, text, utc } from './dom.js';

export const handlers = {}; // by the event's name
export const refreshers = {}; // of elements that update themselves and are not replaced, by id

export let skew = 0; // ms by which the director's clock is ahead of the browser's
let stream;
let heard = 0; // when the last event came, by performance.now
let shown = 0; // since when the page is visible, by the same clock
let tries = 0;

/**
 * connect opens the stream of events, but only while the page is visible: over HTTP/1.1
 * a browser has six connections to a director for all of its tabs together.
 */
function connect() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource('/api/v1/events');
  for (const name of ['hello', 'nodes', 'traffic', 'overlay', 'status', 'mounts']) {
    stream.addEventListener(name, (e) => {
      heard = performance.now();
      tries = 0;
      handlers[name]?.(JSON.parse(e.data));
      tellLive();
    });
  }
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) reconnect();
    tellLive(true);
  };
}

/** reconnect tries again where the browser does not: after an answer that is an error. */
function reconnect() {
  stream.close();
  tries++;
  setTimeout(async () => {
    try {
      await api('GET', '/session'); // goes to the login if the session has ended
    } catch { /* the stream will tell */ }
    connect();
  }, Math.min(15_000, 500 * 2 ** tries));
}

/** silence returns for how long, in ms, a visible page has waited for an event. */
const silence = () => performance.now() - Math.max(heard, shown);

function tellLive(failed = false) {
  const lost = stream?.readyState !== EventSource.OPEN && (failed || silence() > 3000);
  const state = document.hidden ? '' : lost ? 'lost' : silence() > 5000 ? 'stale' : heard > shown ? 'live' : '';
  if (lost || !document.body.dataset.live || state !== document.body.dataset.live || state === 'stale') {
    document.body.dataset.live = state;
    const live = $('#live');
    attr(live, 'data-live', state);
    text(live, { '': 'connecting', live: 'live', stale: 'data is old', lost: 'not connected' }[state]);
    const band = $('#connection');
    band.hidden = !(state === 'lost' || state === 'stale');
    if (!band.hidden) {
      const at = heard ? `What you see is as of ${clock(new Date(Date.now() - performance.now() + heard))}` : 'Nothing has come yet';
      band.className = state === 'lost' ? 'band bad' : 'band warn';
      band.replaceChildren(make('span', state === 'lost' ? `The connection to the director is lost. ${at}. Trying again.` : `Nothing has come from the director for a while. ${at}.`));
    }
  }
}

export function watch() {
  shown = performance.now();
  connect();
  setInterval(() => {
    tellLive();
    if (silence() > 20_000 && stream?.readyState === EventSource.OPEN) connect(); // a dead connection
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    shown = performance.now();
    connect();
    tellLive();
    if (!document.hidden) refresh();
  });
  setInterval(tellTimes, 10_000);
  refreshRegularly();
  tellTimes();
}

handlers.hello = (hello) => {
  skew = new Date(hello.now) - Date.now();
  if (handlers.hello.version && handlers.hello.version !== hello.version) location.reload(); // another version of the program serves this now
  if (handlers.hello.before) refreshSoon(); // to get what was missed
  handlers.hello.version = hello.version;
  handlers.hello.before = true;
};
handlers.status = () => refreshSoon();
handlers.overlay = () => refreshSoon();

function tellTimes() {
  for (const t of $$('time[datetime]')) {
    const at = new Date(t.dateTime);
    if (Number.isNaN(+at)) continue;
    t.title ||= `${utc(at)}, ${day(at)} here`;
    text(t, 'abs' in t.dataset ? utc(at) : 'clock' in t.dataset ? clock(at) : ago(at, Date.now() + skew));
  }
}

// Pages that change seldom are fetched again as a whole, and the elements that differ are
// replaced: templates exist on the server only.

const served = new Map($$('[data-fresh]').map((el) => [el.id, el.outerHTML])); // as last received, by id
let refreshTimer;
export function refreshSoon() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(refresh, 60);
}

export async function refresh() {
  let answer, html;
  try {
    answer = await fetch(location.href, { headers: { Accept: 'text/html' }, signal: AbortSignal.timeout(patience) });
    html = await answer.text();
  } catch {
    return; // the stream will tell
  }
  if (!answer.ok) return;
  if (answer.redirected) { location.assign(answer.url); return; }
  const next = new DOMParser().parseFromString(html, 'text/html');
  for (const fresh of $$('[data-fresh]', next)) {
    const old = document.getElementById(fresh.id);
    if (!old || served.get(fresh.id) === fresh.outerHTML) continue;
    served.set(fresh.id, fresh.outerHTML);
    const own = refreshers[fresh.id];
    if (own) own(old, fresh);
    else replace(old, fresh);
  }
  tellTimes();
}

/** replace replaces old with fresh, and keeps the focus. */
export function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) {
    const same = (el) => el.tagName === focused.tagName && JSON.stringify(el.dataset) === JSON.stringify(focused.dataset);
    $$('button, input, a', fresh).find(same)?.focus();
  }
}

function refreshRegularly() {
  const every = Math.min(...$$('[data-fresh]').map((el) => Number(el.dataset.fresh) || Infinity));
  if (every < Infinity) setInterval(() => { if (!document.hidden) refresh(); }, every * 1000);
}

// Helpers of all pages. Outside data is only ever set as text.

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
export const page = document.body.dataset.page;
export const operate = 'operate' in document.body.dataset;

/** text sets an element's text, and does nothing if it is the same already. */
export function text(el, s) {
  s = String(s);
  if (el && el.textContent !== s) el.textContent = s;
}

/** attr sets an attribute in the same way. */
export function attr(el, name, value) {
  value = String(value);
  if (el.getAttribute(name) !== value) el.setAttribute(name, value);
}

/** make creates an element from a tag and classes ("p.say.bad"), with text or children. */
export function make(spec, ...children) {
  const [tag, ...classes] = spec.split('.');
  const el = document.createElement(tag);
  if (classes.length) el.className = classes.join(' ');
  el.append(...children.filter((c) => c !== null));
  return el;
}

// Formats of numbers, the same as in format.go: the server renders the page first.

export const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
export const count = (n) => grouped.format(n);
export const rate = (n) => (n >= 99.95 ? count(n) : n.toFixed(1));
export const mbit = (kbit) => rate(kbit / 1000);
export const percent = (part) => (part > 0 && part < 0.01 ? '<1' : String(Math.round(part * 100)));

export function ago(then, now = Date.now()) {
  const s = Math.max(0, (now - then) / 1000);
  for (const [name, size] of [['d', 86400], ['h', 3600], ['min', 60]]) {
    if (s >= size) return `${Math.floor(s / size)} ${name}`;
  }
  return s < 10 ? 'just now' : `${Math.floor(s / 10) * 10} s`;
}

/** day formats a date and a time in the browser's zone: 2026-03-01 12:00. */
export const day = (t) => t.toLocaleString('sv', { dateStyle: 'short', timeStyle: 'short' });
/** utc formats it in UTC, as the server does, and clock a time of day. */
export const utc = (t) => `${t.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
export const clock = (t) => `${t.toISOString().slice(11, 19)} UTC`;

export const svg = (tag, attrs) => {
  const el = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attrs)) el.setAttribute(k, v);
  return el;
};

/** drawBar draws listeners against target and limit, like template "bar". */
export function drawBar(el, { used, en_route: route = 0, target = 0, limit = 0 }) {
  const whole = Math.max(limit || target * 1.25, used) || 1;
  const part = (n) => Math.round((n / whole) * 1000) / 10;
  const settled = part(Math.max(0, used - route));
  const [u, r, t] = el.children;
  attr(el, 'class', 'bar' + (limit && used >= limit ? ' b' : target && used >= target ? ' w' : ''));
  attr(u, 'width', settled + '%');
  attr(r, 'x', settled + '%');
  attr(r, 'width', Math.round((part(used) - settled) * 10) / 10 + '%');
  if (t) attr(t, 'x', part(target) + '%');
}

export function newBar(load) {
  const el = svg('svg', { class: 'bar', 'aria-hidden': 'true' });
  el.append(svg('rect', { class: 'u' }), svg('rect', { class: 'r' }));
  if (load.target) el.append(svg('rect', { class: 't', width: '1.5' }));
  drawBar(el, load);
  return el;
}

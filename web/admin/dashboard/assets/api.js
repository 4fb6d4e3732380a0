// Requests to the director's API, and messages about their results.

import { $, $$, make, page, text } from './dom.js';

export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the director answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export const patience = 15_000; // ms for an answer: three times a director's limit for an edit

export async function api(method, path, body, { version, signal } = {}) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (version) headers['If-Match'] = `"${version}"`;
  const enough = AbortSignal.timeout(patience);
  let answer;
  let got = {};
  try {
    answer = await fetch(`/api/v1${path}`, { method, headers, signal: signal ? AbortSignal.any([signal, enough]) : enough, body: body && JSON.stringify(body) });
    if (answer.status !== 204) got = await answer.json();
  } catch (err) {
    if (err.name === 'AbortError') throw err;
    if (err.name === 'TimeoutError') throw new Problem(0, { detail: `The director has not answered for ${patience / 1000} s. A change may have been made all the same: look before you try again.` });
    if (!answer) throw new Problem(0, { detail: 'The director cannot be reached. Nothing was changed; try again.' });
  }
  if (answer.status === 401 && page !== 'login') location.assign('/login');
  if (!answer.ok) throw new Problem(answer.status, got);
  const revision = Number(answer.headers.get('Signpost-Revision'));
  return revision ? { ...got, revision } : got;
}

let toastTimer;
/** toast shows a message for a while, optionally with a button that runs an action. */
export function toast(message, { bad = false, action, run } = {}) {
  const el = $('#toast');
  el.className = bad ? 'toast bad' : 'toast';
  el.replaceChildren(make('span', message));
  if (action) {
    const button = make('button.small', action);
    button.onclick = () => { el.hidden = true; run(); };
    el.append(button);
  }
  el.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { el.hidden = true; }, bad ? 12_000 : 8_000);
}

/** attempt runs what the director may refuse, and shows a message if it does. */
export async function attempt(run) {
  try {
    return await run();
  } catch (err) {
    if (!(err instanceof Problem)) throw err;
    const by = err.status === 412 ? ` ${err.problem.by || 'Somebody'} changed it meanwhile; look again.` : '';
    toast(err.message + by, { bad: true });
    return null;
  }
}

export function undo(revision, why = '') {
  return attempt(async () => {
    await api('POST', `/history/${revision}/undo`, { why });
    toast(`Taken back: revision ${revision}`);
  });
}

/** done shows a message about a change, and offers to undo it. */
export function done(message, revision) {
  toast(message, revision ? { action: 'Undo', run: () => undo(revision) } : {});
}

/** ask opens the dialog and returns {why, for}, or null if it is cancelled. */
export function ask({ title, detail = '', action, lasting = true, preview }) {
  const dialog = $('#ask');
  const form = $('form', dialog);
  form.reset();
  text($('h2', dialog), title);
  text($('[data-text]', dialog), detail);
  $('[data-preview]', dialog).replaceChildren();
  $('select', dialog).closest('label').hidden = !lasting;
  const [cancel, go] = $$('footer button', dialog);
  text(go, action);
  preview?.().then((el) => $('[data-preview]', dialog).replaceChildren(el), () => {});
  dialog.showModal();
  $('input', dialog).focus();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'do' ? { why: form.why.value, ...(lasting && form.for.value ? { for: form.for.value } : {}) } : null);
    dialog.oncancel = () => { dialog.returnValue = ''; };
    cancel.onclick = () => dialog.close('');
    form.onsubmit = () => { dialog.returnValue = 'do'; };
  });
}

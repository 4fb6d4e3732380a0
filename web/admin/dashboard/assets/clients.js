// Clients and their rules.

import { api, ask, attempt, done } from './api.js';
import { $ } from './dom.js';
import { refresh } from './live.js';

export default function clients() {
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

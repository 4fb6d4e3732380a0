import { api, Problem } from './api.js';
import { $, make } from './dom.js';

export default function login() {
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

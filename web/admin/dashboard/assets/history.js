// The buttons that take changes back.

import { ask, undo } from './api.js';
import { refresh } from './live.js';

export default function history() {
  document.addEventListener('click', async (e) => {
    const revision = e.target.closest('[data-undo]')?.dataset.undo;
    if (!revision) return;
    const said = await ask({ title: `Take back revision ${revision}?`, detail: 'What it changed becomes as it was before.', action: 'Undo', lasting: false });
    if (said) await undo(revision, said.why);
    refresh();
  });
}

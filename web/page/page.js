'use strict';
// A button in place of the browser's own controls, which stand here without script. One mount
// plays at a time. Who stops leaves the node, and hears what is live when playing again.

const times = { // ms
  retries: [1000, 3000, 8000], // until a stream that ends is opened anew
  idle: 60000, // without sound until a stream counts as lost
};
let playing = null;

class Player {
  constructor(card) {
    this.card = card;
    this.audio = card.querySelector('audio');
    this.button = card.querySelector('button');
    this.line = card.querySelector('.state');
    this.title = card.querySelector('h2').textContent;
    this.wanted = false;
    this.tries = 0;
    this.heard = false;
    this.stop();
    this.button.addEventListener('click', () => (this.wanted ? this.stop() : this.start()));
    this.audio.addEventListener('playing', () => { this.heard = true; this.tries = 0; this.say('Playing'); });
    this.audio.addEventListener('waiting', () => this.wanted && this.say('Waiting for sound'));
    this.audio.addEventListener('timeupdate', () => this.watch());
    // As by a call that comes in, or headphones that are pulled out.
    this.audio.addEventListener('pause', () => this.wanted && !this.audio.ended && !this.audio.error && this.stop());
    for (const event of ['error', 'ended']) this.audio.addEventListener(event, () => this.lost());
    this.button.hidden = false;
    this.audio.controls = false;
    card.classList.add('ready');
  }

  say(text, bad = false) {
    this.line.classList.toggle('bad', bad);
    if (this.line.textContent !== text) this.line.textContent = text;
  }

  show() {
    this.card.dataset.state = this.wanted ? 'on' : 'off';
    this.button.setAttribute('aria-label', `${this.wanted ? 'Stop' : 'Play'} ${this.title}`);
  }

  start() {
    if (playing && playing !== this) playing.stop();
    playing = this;
    this.wanted = true;
    this.heard = false;
    this.tries = 0;
    this.show();
    this.open();
    const session = navigator.mediaSession;
    if (session) {
      session.setActionHandler('play', () => this.start());
      for (const action of ['pause', 'stop']) session.setActionHandler(action, () => this.stop());
    }
    this.announce();
  }

  open() {
    this.say('Connecting');
    this.watch();
    this.audio.src = this.card.dataset.path;
    this.audio.play().catch((err) => { if (err.name === 'NotAllowedError') this.stop(); });
  }

  watch() {
    clearTimeout(this.timer);
    if (this.wanted) this.timer = setTimeout(() => this.lost(), times.idle);
  }

  stop(text = '', bad = false) {
    clearTimeout(this.timer);
    this.wanted = false;
    if (playing === this) playing = null;
    this.audio.pause();
    this.audio.removeAttribute('src');
    this.audio.load();
    this.show();
    this.say(text, bad);
  }

  // A stream that was heard is opened anew; one that never played is refused.
  lost() {
    if (!this.wanted) return;
    clearTimeout(this.timer);
    if (this.heard && this.tries < times.retries.length) {
      this.say('Connecting again');
      this.timer = setTimeout(() => this.wanted && this.open(), times.retries[this.tries++] * (1 + Math.random()));
      return;
    }
    this.stop('It cannot be played right now. ', true);
    const why = document.createElement('a');
    why.href = this.card.dataset.path;
    why.textContent = 'Why?';
    this.line.append(why);
  }

  // What phones show on their lock screens.
  announce() {
    if (navigator.mediaSession && typeof MediaMetadata === 'function') {
      navigator.mediaSession.metadata = new MediaMetadata({title: this.card.querySelector('.now').textContent.trim() || this.title, artist: this.title});
    }
  }
}

for (const card of document.querySelectorAll('.mount[data-path]')) new Player(card);

// What plays now is asked for while somebody looks.
async function refresh() {
  try {
    const answer = document.hidden ? null : await fetch('/', {headers: {Accept: 'text/html'}});
    if (answer?.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const paths = (doc) => [...doc.querySelectorAll('.mount')].map((card) => `${card.id} ${card.dataset.path}`).join();
      if (paths(fresh) !== paths(document)) {
        if (!playing) location.reload();
      } else {
        fresh.querySelectorAll('.now').forEach((now, i) => {
          const old = document.querySelectorAll('.now')[i];
          if (old.textContent !== now.textContent) old.textContent = now.textContent;
        });
        playing?.announce();
      }
    }
  } catch { /* another time */ }
  setTimeout(refresh, 15000 + 5000 * Math.random());
}
setTimeout(refresh, 15000);

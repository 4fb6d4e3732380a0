#!/usr/bin/env bash
# hls.js never asks a steering server again that once answered 429 with Retry-After
#
# What was run: hls.js 1.7.4 in headless Chromium, playing a multivariant playlist with #EXT-X-CONTENT-STEERING. The
#   steering server's first answer is 429 with "Retry-After: 2", or, to compare, 503; all others are 200 with a TTL of 5 s.
# Expected: the next question after 2 s. draft-pantos-hls-rfc8216bis, section 7: who gets 429 with Retry-After for a
#   steering manifest SHOULD wait until then "to reissue the request"; RFC 6585, 4, and RFC 9110, 10.2.3, mean the same.
# Seen: after 429 no question comes any more, while the stream plays on: the rest of the session cannot be steered.
#   After 503 there are five within 15 s. (content-steering-controller.ts reads Retry-After into a variable, and returns.)
# Needs: chromium, ffmpeg, node, npm.
# Date: 2026-11-30
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund hls.js@1.7.4 >/dev/null
ffmpeg -v error -f lavfi -i sine=d=60 -c:a aac -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 media.m3u8
cat >run.js <<'JS'
const http = require('http'), fs = require('fs'), {spawn} = require('child_process');
const page = `<script src="/node_modules/hls.js/dist/hls.min.js"></script><audio muted></audio><script>
  const p = new Hls(), audio = document.querySelector('audio');
  p.on(Hls.Events.MANIFEST_PARSED, () => audio.play());
  p.loadSource('/live.m3u8');
  p.attachMedia(audio);
  setInterval(() => fetch('/at?' + audio.currentTime), 500);
</script>`;
const list = (first) => `#EXTM3U
#EXT-X-CONTENT-STEERING:SERVER-URI="/steer?${first}",PATHWAY-ID="A"
#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="mp4a.40.2",PATHWAY-ID="A"
/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="mp4a.40.2",PATHWAY-ID="B"
/media.m3u8?B
`;
const answer = JSON.stringify({VERSION: 1, TTL: 5, 'PATHWAY-PRIORITY': ['A', 'B']});

// run plays for 15 s where the steering server's first answer has the given status, and
// returns how often it was asked, and how far the stream has played.
function run(first) {
  return new Promise((resolve) => {
    let asked = 0, at = 0;
    const server = http.createServer((q, r) => {
      const {pathname, search} = new URL(q.url, 'http://x');
      if (pathname === '/') return r.setHeader('Content-Type', 'text/html'), r.end(page);
      if (pathname === '/at') return at = Number(search.slice(1)), r.end();
      if (pathname === '/live.m3u8') return r.setHeader('Content-Type', 'application/vnd.apple.mpegurl'), r.end(list(first));
      if (pathname === '/steer') {
        asked++;
        if (asked === 1) return r.writeHead(first, {'Retry-After': '2'}), r.end();
        return r.setHeader('Content-Type', 'application/json'), r.end(answer);
      }
      fs.readFile('.' + pathname, (err, text) => err ? (r.writeHead(404), r.end()) : r.end(text));
    }).listen(0, '127.0.0.1', () => {
      const browser = spawn('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required',
        '--user-data-dir=profile' + first, `http://127.0.0.1:${server.address().port}/`], {stdio: 'ignore'});
      const begin = Date.now();
      const look = setInterval(() => {
        if (at < 15 && Date.now() - begin < 90000) return;
        clearInterval(look);
        browser.once('exit', () => server.close(() => resolve({first, asked, at})));
        server.closeAllConnections();
        browser.kill();
      }, 250);
    });
  });
}

(async () => {
  const [limited, failed] = [await run(429), await run(503)];
  for (const {first, asked, at} of [limited, failed]) console.log(`after ${first}: asked ${asked} times within ${at.toFixed(1)} s of sound`);
  if (limited.at < 15 || failed.at < 15) throw new Error('it did not play: nothing is shown');
  if (limited.asked !== 1 || failed.asked < 3) {
    console.log('this is different now');
    process.exit(1);
  }
})();
JS
node run.js

package dashboard_test

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// overflowing lists what is wider than the page, and text that is cut off although
// nothing says so.
const overflowing = `(() => {
	const out = [];
	const name = (el) => el.tagName.toLowerCase() + (el.id ? '#' + el.id : '') + (el.className && el.className.baseVal === undefined ? '.' + el.className : '') + ' "' + el.textContent.trim().slice(0, 40) + '"';
	if (document.documentElement.scrollWidth > innerWidth) out.push('the page is ' + document.documentElement.scrollWidth + ' wide');
	const scrolls = (el) => { for (let e = el; e && e !== document.body; e = e.parentElement) if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true; return false; };
	for (const el of document.querySelectorAll('main *, header *, footer *')) {
		if (!el.checkVisibility() || el.closest('svg, .uplot, .sr')) continue;
		if (el.matches('th, td') && el.scrollWidth > el.clientWidth + 1 && getComputedStyle(el).overflowX === 'visible') out.push('over its neighbours: ' + name(el));
		if (scrolls(el)) continue;
		const r = el.getBoundingClientRect();
		if (r.width && (r.right > innerWidth + 1 || r.left < -1)) out.push('out of the page: ' + name(el));
		const s = getComputedStyle(el);
		const text = [...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
		if (text && el.scrollWidth > el.clientWidth + 1 && s.display !== 'inline' && s.textOverflow !== 'ellipsis') out.push('cut off: ' + name(el));
		if (text && r.width && r.width < 24 && el.textContent.trim().length > 8) out.push('one letter a line: ' + name(el));
	}
	return out.slice(0, 8);
})()`

// faint lists texts whose contrast with what is behind them is below 4.5:1, as WCAG 2.2
// computes it.
const faint = `(() => {
	const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
	const known = {};
	const rgb = (c) => known[c] ??= (() => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [...d.slice(0, 3), d[3] / 255]; })();
	const over = (a, b) => a.slice(0, 3).map((v, i) => v * a[3] + b[i] * (1 - a[3]));
	const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
	const behind = (el) => { const stack = []; for (let e = el; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); stack.push(c); if (c[3] === 1) break; } let c = [255, 255, 255]; for (const s of stack.reverse()) c = over(s, c); return c; };
	const out = [];
	for (const el of document.querySelectorAll('body *')) {
		if (!el.checkVisibility() || el.closest('svg, .sr, .uplot, :disabled, option') || ![...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const back = behind(el), front = over(rgb(getComputedStyle(el).color), back);
		const [a, b] = [light(front), light(back)];
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) out.push(ratio.toFixed(2) + ' ' + el.tagName + '.' + el.className + ' "' + el.textContent.trim().slice(0, 30) + '"');
	}
	return [...new Set(out)].slice(0, 8);
})()`

//go:embed testdata/axe.min.js
var axe string

// serious lists what axe-core finds that is serious or critical.
const serious = `axe.run(document, {resultTypes: ['violations'], rules: {'color-contrast': {enabled: false}}}).then((r) => r.violations
	.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id + ': ' + v.help + ' at ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(', ')))`

// holdBars fails if a page does not fit its screen, is hard to read, or hard to use for
// somebody who does not see it or has no mouse.
func holdBars(t *testing.T, b *browsertest.Tab, name string) {
	t.Helper()
	for what, script := range map[string]string{"does not fit": overflowing, "is hard to read": faint} {
		if found := browsertest.Eval[[]string](b, script); len(found) > 0 {
			t.Errorf("%s %s:\n%s", name, what, strings.Join(found, "\n"))
		}
	}
}

// holdAxe fails if axe-core finds anything serious. Its contrast is ours, which knows
// light-dark(), and colours are the same at every width: one look is enough.
func holdAxe(t *testing.T, b *browsertest.Tab, name string) {
	t.Helper()
	browsertest.Eval[bool](b, axe+"; true")
	if found := browsertest.Eval[[]string](b, serious); len(found) > 0 {
		t.Errorf("%s: axe-core finds:\n%s", name, strings.Join(found, "\n"))
	}
}

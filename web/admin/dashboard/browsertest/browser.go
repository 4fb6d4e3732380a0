// Package browsertest drives a real headless Chromium in tests, from Debian's
// package chromium.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// Patience is how long a test waits for a page: far longer than a page needs, since tests
// run in parallel on small machines.
const Patience = 5 * time.Minute

// A Tab is one page of a browser.
type Tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string // the console's errors
}

// flags are the flags that Chromium needs without a sandbox, a screen and any network
// but loopback.
var flags = strings.Fields("disable-gpu disable-quic disable-component-update mute-audio hide-scrollbars")

// browser is the browser that all tests of a package share.
var browser struct {
	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	err    error
}

// Start returns a tab that shares no cookies and no connections with the tabs of other
// tests, and is closed with its test. All tabs are in one browser: see [Run].
func Start(t *testing.T) *Tab {
	t.Helper()
	proctest.Need(t, "chromium")
	browser.once.Do(func() { browser.ctx, browser.cancel, browser.err = launch() })
	if browser.err != nil {
		t.Fatalf("start chromium: %v", browser.err)
	}
	return tabOf(t, browser.ctx, chromedp.WithNewBrowserContext())
}

// StartTrusting returns a tab of a browser of its own that trusts a root certificate in PEM
// form.
func StartTrusting(t *testing.T, root []byte) *Tab {
	t.Helper()
	proctest.Need(t, "chromium", "certutil")
	home := t.TempDir()
	store, file := filepath.Join(home, ".pki", "nssdb"), filepath.Join(home, "root.pem")
	if err := errors.Join(os.MkdirAll(store, 0o700), os.WriteFile(file, root, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "test root", "-t", "C,,", "-i", file}} {
		if out, err := exec.Command("certutil", append(args, "-d", "sql:"+store)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %q: %v\n%s", args, err, out)
		}
	}
	ctx, cancel, err := launch(chromedp.Env("HOME=" + home))
	if err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() { end(ctx, cancel) })
	return tabOf(t, ctx)
}

// launch starts a browser.
func launch(more ...chromedp.ExecAllocatorOption) (context.Context, context.CancelFunc, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath("chromium"),
		chromedp.WSURLReadTimeout(Patience), chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	for _, f := range flags {
		options = append(options, chromedp.Flag(f, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	ctx, cancel := chromedp.NewContext(alloc)
	return ctx, func() { cancel(); stop() }, chromedp.Do(ctx)
}

// end closes a browser.
func end(ctx context.Context, cancel context.CancelFunc) {
	patient, give := context.WithTimeout(ctx, Patience)
	defer give()
	_ = chromedp.Cancel(patient) // the browser removes its directory; what is left is killed
	cancel()
}

// Run runs a package's tests, closes their browser, and returns the exit code. TestMain of
// a package that starts tabs must call it.
func Run(m *testing.M) int {
	code := m.Run()
	if browser.ctx != nil {
		end(browser.ctx, browser.cancel)
	}
	return code
}

func tabOf(t *testing.T, browser context.Context, options ...chromedp.ContextOption) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, options...)
	t.Cleanup(func() {
		patient, give := context.WithTimeout(ctx, Patience)
		defer give()
		if err := chromedp.Cancel(patient); err != nil {
			t.Logf("the tab did not close: %v", err)
		}
		cancel()
	})
	return newTab(t, ctx)
}

// Another opens a tab that shares no cookies with b, as of a second person.
func (b *Tab) Another() *Tab {
	b.t.Helper()
	return tabOf(b.t, browser.ctx, chromedp.WithNewBrowserContext())
}

// Beside opens a tab that shares cookies and connections with b, as of the same person.
func (b *Tab) Beside() *Tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	return newTab(b.t, ctx)
}

// Cover opens an empty tab in front of b, so that b is hidden.
func (b *Tab) Cover() {
	b.t.Helper()
	Eval[bool](b, "Boolean(window.cover = open('about:blank'))")
	b.Await("it is hidden", "document.hidden")
}

// Uncover closes what Cover opened.
func (b *Tab) Uncover() {
	b.t.Helper()
	Eval[chromedp.Void](b, "window.cover.close()")
	b.Await("it is shown", "!document.hidden")
}

func newTab(t *testing.T, ctx context.Context) *Tab {
	t.Helper()
	b := &Tab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" {
				b.mu.Lock()
				b.faults = append(b.faults, fmt.Sprintf("%s %s (%s:%d)", m.Source, m.Text, m.URL, m.Line+1))
				b.mu.Unlock()
			}
		}
	}()
	return b
}

// Faults returns the console's errors so far: exceptions, violations of the content
// security policy, answers that are errors.
func (b *Tab) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// Do runs all actions, and fails the test if one of them fails.
func (b *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fail("in the browser", err)
	}
}

func (b *Tab) fail(what string, err error) {
	b.t.Helper()
	b.t.Fatalf("%s: %v\nfaults: %q\npage: %.3000s", what, err, b.Faults(), b.content())
}

// content returns the page's URL and text, for failures.
func (b *Tab) content() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// Go opens a page.
func (b *Tab) Go(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
}

// Press presses keys, which "github.com/chromedp/chromedp/kb" names, where the focus is.
func (b *Tab) Press(keys string) {
	b.t.Helper()
	b.Do(chromedp.KeyEvent(keys))
}

// Click clicks on the first element that matches a CSS selector, as ClickOn does.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.ClickOn(fmt.Sprintf("document.querySelector(%q)", selector))
}

// ClickOn clicks on the element that an expression returns, once it is there. If a page
// that is still being laid out moves under the mouse, ClickOn clicks again.
func (b *Tab) ClickOn(element string) {
	b.t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		at := Eval[[]float64](b, `(() => {
			const el = `+element+`;
			if (!el) return [];
			el.scrollIntoView({block: 'center', inline: 'center'});
			window.clicked = false;
			document.addEventListener('click', (e) => { window.clicked = `+element+`?.contains(e.target) }, {once: true, capture: true});
			const r = el.getBoundingClientRect();
			return r.width > 0 ? [r.x + r.width / 2, r.y + r.height / 2] : [];
		})()`)
		if len(at) == 2 {
			b.Do(chromedp.MouseClickXY(at[0], at[1]))
			if Eval[bool](b, "window.clicked !== false") { // undefined: the click has led to another page
				return
			}
		}
		if time.Now().After(deadline) {
			b.fail("clicking on "+element, errors.New("it is not there, or something lies over it"))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Call sends the browser a command of the DevTools protocol.
func Call[P, R any](b *Tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	out, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.fail(command.Method, err)
	}
	return out
}

// Eval evaluates an expression, and awaits it if it is a promise.
func Eval[T any](b *Tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail(expression, err)
	}
	return out
}

// Await waits until an expression is true, across navigations too, and returns how
// long that took.
func (b *Tab) Await(what, expression string) time.Duration {
	b.t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if is {
			return time.Since(begin)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.fail("not within "+Patience.String()+": "+what, errors.Join(err, ctx.Err()))
		}
	}
}

// A Look is the screen that a page is viewed on.
type Look struct {
	Width, Height int64
	Dark, Phone   bool
}

// Looks are the looks that every page is made for, by name.
var Looks = map[string]Look{
	"1440-light": {Width: 1440, Height: 900},
	"1440-dark":  {Width: 1440, Height: 900, Dark: true},
	"768-light":  {Width: 768, Height: 1024, Phone: true},
	"768-dark":   {Width: 768, Height: 1024, Dark: true, Phone: true},
	"390-light":  {Width: 390, Height: 844, Phone: true},
	"390-dark":   {Width: 390, Height: 844, Dark: true, Phone: true},
}

// As gives the tab a Look.
func (b *Tab) As(l Look) {
	b.t.Helper()
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	Call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.Width, Height: l.Height, DeviceScaleFactor: 1, Mobile: l.Phone})
	media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media})
}

// Screenshot saves a picture of the whole page in the directory that
// SIGNPOST_SCREENSHOTS names, if it is set.
func (b *Tab) Screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("SIGNPOST_SCREENSHOTS")
	if dir == "" {
		return
	}
	Eval[chromedp.Void](b, "scrollTo(0, 0)") // or sticky elements would be in the middle
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.fail("screenshot", err)
	}
	//nolint:gosec // whoever runs the tests says where
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

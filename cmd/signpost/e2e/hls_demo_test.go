package e2e

import (
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// The demo's page plays, shows what it hears, and shows that it is moved when that node stops.
func TestDemoPage(t *testing.T) {
	t.Parallel()
	tab := browsertest.Start(t)
	cmd := exec.Command(program(t), "demo", "--any", "--listeners", "0")
	cmd.SysProcAttr = proctest.DieWithTest()
	keys, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said proctest.Output
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the demo says:\n%s", said.String())
		}
	})
	at := regexp.MustCompile(`\(HLS\).*\n +open (http://\S+) `)
	var page []string
	for begin := time.Now(); page == nil; page = at.FindStringSubmatch(said.String()) {
		if time.Since(begin) > patience {
			t.Fatal("the demo does not say where its page is")
		}
		<-time.After(100 * time.Millisecond)
	}
	tab.Go(page[1])
	tab.Click("#play")
	const heard = `document.querySelector("[aria-current] b")?.textContent`
	tab.Await("it shows which node it hears", heard)
	first := browsertest.Eval[string](tab, heard)
	number := regexp.MustCompile(`(?m)^  (\d)  ` + first + " ").FindStringSubmatch(said.String())
	if number == nil {
		t.Fatalf("it hears %q, which is no node of the demo", first)
	}
	if _, err := io.WriteString(keys, number[1]+"\n"); err != nil {
		t.Fatal(err)
	}
	tab.Await("it hears another node", fmt.Sprintf("%s !== %q && !audio.paused", heard, first))
	if log := browsertest.Eval[string](tab, `document.getElementById("log").innerText`); !strings.Contains(log, "moved to") || !strings.Contains(log, "began at "+first) {
		t.Errorf("the page tells %q", log)
	}
	tab.Screenshot("demo-hls")
}

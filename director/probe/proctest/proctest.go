// Package proctest is for tests that run other programs: servers, players, a browser. It
// skips such a test if a program is missing, and lets no program outlive its test.
package proctest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Required is the environment variable that makes a missing program fail a test instead
// of skipping it. `make test` sets it, so that nothing stays untested.
const Required = "SIGNPOST_TEST_PROGRAMS"

// Need skips the test if one of these programs is not installed, or with -short, which
// is for tests without such programs. Its message begins with "needs".
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if testing.Short() {
			t.Skipf("needs %s: run it without -short", p)
		}
		if _, err := exec.LookPath(p); err != nil {
			Absent(t, p)
		}
	}
}

// Absent skips the test, or fails it if [Required] is set: a program is not installed.
func Absent(t testing.TB, program string) {
	t.Helper()
	what := fmt.Sprintf("needs %s, which is not installed: `make install-test-programs` installs it", program)
	if os.Getenv(Required) != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

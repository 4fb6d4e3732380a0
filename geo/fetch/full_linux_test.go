package fetch

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is full keeps the old file, and nothing of the new one.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mounting a small disk takes root: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	p := newPublisher(t)
	p.put("/feed.csv", []byte("192.0.2.0/24,DE\n"+strings.Repeat("# much\n", 20_000)))
	s := Source{File: filepath.Join(dir, "feed.csv"), Feed: true, URL: p.URL + "/feed.csv"}
	if err := os.WriteFile(s.File, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := once(t, s); r.Err == nil || !strings.Contains(r.String(), "no space left on device; what was there stays") {
		t.Errorf("%s", r)
	}
	left, _ := os.ReadDir(dir)
	if b, _ := os.ReadFile(s.File); string(b) != "old" || len(left) != 1 {
		t.Errorf("the old file is %q, and there are %v", b, left)
	}
}

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// What Redis would refuse directors is found before one starts.
func TestTryStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	dir := t.TempDir()
	name := filepath.Join(dir, "signpost.yaml")
	text := "nodes: [{id: a, urls: http://a.example}]\nstore: {redis: {url: '" + server.URL() + "'}}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.TryStore(); err != nil {
		t.Errorf("with all rights: %v", err)
	}
	server.Do("ACL", "SETUSER", "default", "-time")
	if err := s.TryStore(); err == nil || !strings.Contains(err.Error(), "ACL SETUSER default ~{signpost}:*") || !strings.Contains(err.Error(), "refuses time") {
		t.Errorf("without TIME: %v", err)
	}
	s.Store.Redis = nil
	if err := s.TryStore(); err != nil {
		t.Errorf("without Redis: %v", err)
	}
}

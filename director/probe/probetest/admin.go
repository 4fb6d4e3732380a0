//go:build unix

package probetest

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// SetTitle says what is playing on a mount.
func (n *Node) SetTitle(path, title string) {
	n.t.Helper()
	_, err := n.admin("metadata", url.Values{"mode": {"updinfo"}, "mount": {path}, "song": {title}, "charset": {"UTF-8"}})
	if err != nil {
		n.t.Fatalf("icecast2 at %s: title: %v", n.addr, err)
	}
}

// Listeners returns how many listeners the server counts, or -1 if it does not
// tell because it is full, frozen or dead.
func (n *Node) Listeners() int {
	var stats struct {
		Listeners int `xml:"listeners"`
	}
	if err := n.read("stats", &stats); err != nil {
		return -1
	}
	return stats.Listeners
}

func (n *Node) plays(path string) bool {
	// Unlike /admin/stats this lists running sources only.
	var mounts struct {
		Sources []struct {
			Mount string `xml:"mount,attr"`
		} `xml:"source"`
	}
	if err := n.read("listmounts", &mounts); err != nil {
		return false
	}
	for _, s := range mounts.Sources {
		if s.Mount == path {
			return true
		}
	}
	return false
}

// read asks for an admin page and decodes its XML.
func (n *Node) read(page string, into any) error {
	text, err := n.admin(page, nil)
	if err != nil {
		return err
	}
	return xml.Unmarshal([]byte(text), into)
}

// admin asks for one of the server's admin pages.
func (n *Node) admin(page string, query url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/admin/"+page+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(n.Credentials())
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

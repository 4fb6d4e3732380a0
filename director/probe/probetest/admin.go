//go:build unix

package probetest

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// SetTitle sets the title of what is playing on a mount.
func (n *Node) SetTitle(path, title string) {
	n.t.Helper()
	_, err := n.admin("metadata", url.Values{"mode": {"updinfo"}, "mount": {path}, "song": {title}, "charset": {"UTF-8"}})
	if err != nil {
		n.t.Fatalf("icecast2 at %s: title: %v", n.addr, err)
	}
}

// Listeners returns how many listeners the server counts, or -1 if it does not answer
// because it is full, frozen or dead.
func (n *Node) Listeners() int {
	s, err := n.statistics()
	if err != nil {
		return -1
	}
	return s.Listeners
}

// plays says whether the statistics show the mount with a source, and, if titled is set,
// with a title. They are up to 0.3 s late, but they are what others see.
func (n *Node) plays(path string, titled bool) bool {
	s, err := n.statistics()
	if err != nil {
		return false
	}
	for _, source := range s.Sources {
		// There is no type while only a fallback plays.
		if source.Mount == path && source.Type != "" {
			return source.Title != "" || !titled
		}
	}
	return false
}

// statistics are those parts of /admin/stats that tests need.
type statistics struct {
	Server    string `xml:"server_id"`
	Listeners int    `xml:"listeners"`
	Sources   []struct {
		Mount string `xml:"mount,attr"`
		Type  string `xml:"server_type"`
		Title string `xml:"title"`
	} `xml:"source"`
}

func (n *Node) statistics() (s statistics, err error) {
	page, err := n.admin("stats", nil)
	if err == nil {
		err = xml.Unmarshal([]byte(page), &s)
	}
	return s, err
}

// admin requests one of the server's admin pages.
func (n *Node) admin(page string, query url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

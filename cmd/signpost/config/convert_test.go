package config

import (
	"slices"
	"strings"
	"testing"
)

// Hosts that people write in their own letters are printed and asked in those of DNS.
func TestHostNamesBecomeASCII(t *testing.T) {
	t.Parallel()
	s, err := readConfig("x.yaml", []byte(`
listen: {public_urls: ["https://hören.test"]}
nodes:
  - {id: a, urls: ["http://münchen.test:8000/radio"], internal_url: "http://innen.münchen.test"}
regions: {overflow_url: "https://über.test{mount}"}
`))
	if err != nil {
		t.Fatal(err)
	}
	n := s.Fleet.Nodes[0]
	got := []string{s.Listen.PublicURLs[0], s.Policy.PublicURL, n.URLs[0], n.InternalURL, s.Fleet.OverflowURL}
	want := []string{"https://xn--hren-5qa.test", "https://xn--hren-5qa.test", "http://xn--mnchen-3ya.test:8000/radio",
		"http://innen.xn--mnchen-3ya.test", "https://xn--ber-goa.test{mount}"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !slices.Contains(s.Fleet.Self, "xn--hren-5qa.test:443") {
		t.Errorf("a node there would not be refused: %q", s.Fleet.Self)
	}
}

// A node's country follows from its coordinates, so that a listener of whom only the
// country is known counts it as near.
func TestCountryOfANode(t *testing.T) {
	t.Parallel()
	s, err := readConfig("x.yaml", []byte(`
nodes:
  - {id: a, urls: ["http://a.test"], place: "50.1,8.7"}
  - {id: b, urls: ["http://b.test"], place: {country: CH, lat: 47.6, lon: 7.6}}
  - {id: c, urls: ["http://c.test"], place: "40.7,-74.0"}
  - {id: d, urls: ["http://d.test"], place: AU}
  - {id: e, urls: ["http://e.test"], place: "30,-40"}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range s.Fleet.Nodes {
		got = append(got, strings.TrimSpace(n.Place.Continent.String()+" "+n.Place.String()))
	}
	want := []string{"EU DE 50.1,8.7", "EU CH 47.6,7.6", "NA US 40.7,-74.0", "OC AU -27.0,133.0 (centre of the country)", "unknown 30.0,-40.0"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

package wording

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func errOf(_ any, err error) error { return err }

// TestWords provokes the errors themselves: what they say changes with Go's releases.
func TestWords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inUse, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	open := httptest.NewServer(http.NotFoundHandler())
	defer open.Close()
	gone := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer gone.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	get := func(c *http.Client, u string) error {
		resp, err := c.Get(u)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	trusting := secure.Client()
	hung := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, Timeout: time.Millisecond}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	addr := inUse.Addr().String()
	var listed []int
	var fields struct {
		N int
		S []string
	}
	strict := json.NewDecoder(strings.NewReader(`{"x": 1}`))
	strict.DisallowUnknownFields()

	for _, c := range []struct {
		err  error
		want string
	}{
		{errOf(net.Listen("tcp", addr)), addr + ": the address is already in use"},
		{errOf(net.Dial("tcp", "127.0.0.1:1")), "127.0.0.1:1: connection refused"},
		{fmt.Errorf("store: %w; is it there?", errOf(net.Dial("tcp", "127.0.0.1:1"))), "store: 127.0.0.1:1: connection refused; is it there?"},
		{errOf(new(net.Dialer).DialContext(late, "tcp", addr)), addr + ": no answer in time"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "fra1.example", IsNotFound: true}}, `DNS knows no name "fra1.example"`},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "fra1.example", IsTimeout: true}}, `DNS did not tell in time the address of "fra1.example"`},
		{get(http.DefaultClient, "http://127.0.0.1:1/x"), "http://127.0.0.1:1/x: connection refused"},
		{fmt.Errorf("http://127.0.0.1:1: %w", errOf(net.Dial("tcp", "127.0.0.1:1"))), "http://127.0.0.1:1: connection refused"},
		{get(http.DefaultClient, "foo/readyz"), "foo/readyz: begin it with http:// or https://"},
		{get(http.DefaultClient, strings.Replace(open.URL, "http:", "https:", 1)), strings.Replace(open.URL, "http:", "https:", 1) + ": it speaks http, and was asked by https"},
		{get(http.DefaultClient, secure.URL), secure.URL + ": its certificate is from an unknown authority"},
		{get(trusting, strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)), strings.Replace(secure.URL, "127.0.0.1", "localhost", 1) + ": its certificate is not for localhost, but for example.com, *.example.com, 127.0.0.1, ::1"},
		{get(http.DefaultClient, gone.URL), gone.URL + ": it ended without an answer"},
		{get(hung, "http://192.0.2.1/"), "http://192.0.2.1/: no answer in time"},
		{x509.CertificateInvalidError{Cert: &x509.Certificate{NotAfter: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)}, Reason: x509.Expired}, "its certificate has expired: it ended at 2026-11-30T00:00:00Z"},
		{errOf(tls.X509KeyPair([]byte("x"), []byte("y"))), "there is nothing in PEM in one of the two"},
		{errOf(os.ReadFile(filepath.Join(dir, "none"))), filepath.Join(dir, "none") + ": no such file or directory"},
		{errOf(os.ReadFile(dir)), dir + ": is a directory"},
		{errOf(strconv.Atoi("x")), `"x" is not a number`},
		{errOf(strconv.ParseInt("99999999999999999999", 10, 64)), `"99999999999999999999" is too large a number`},
		{errOf(netip.ParseAddr("foo")), `"foo" is not an IP address`},
		{fmt.Errorf("--addr: %w; see help", errOf(netip.ParseAddr("1.2.3.4.5"))), `--addr: "1.2.3.4.5" is not an IP address; see help`},
		{errOf(netip.ParsePrefix("foo")), `"foo" is not a network; write one such as 203.0.113.0/24`},
		{errOf(netip.ParsePrefix("foo/8")), `"foo/8" is not a network; write one such as 203.0.113.0/24`},
		{errOf(time.ParseDuration("5")), `"5" is not a duration; write a number with its unit, such as 30s, 5m or 2h`},
		{errOf(time.ParseDuration("x")), `"x" is not a duration; write a number with its unit, such as 30s, 5m or 2h`},
		{errOf(time.ParseDuration("5y")), `"5y" is not a duration; write a number with its unit, such as 30s, 5m or 2h`},
		{errOf(time.Parse(time.RFC3339, "noon")), `"noon" is not a time; write one such as 2026-11-30T18:00:00Z`},
		{errOf(url.Parse("127.0.0.1:8000/live")), `"127.0.0.1:8000/live" is no URL: it has no scheme; begin it with http:// or https://`}, //nolint:staticcheck // the mistake is the point
		{errOf(url.Parse("http://h:x/")), `"http://h:x/" is no URL: the port "x" is no number from 1 to 65535`},                           //nolint:staticcheck // the mistake is the point
		{errOf(url.Parse("http://h\x01/")), `"http://h\x01/" is no URL: it has a control character in it`},                                //nolint:staticcheck // the mistake is the point
		{json.Unmarshal([]byte(`{"N": "x"}`), &fields), "a whole number is expected at N, not text"},
		{json.Unmarshal([]byte(`{"S": 5}`), &fields), "a list is expected at S, not the number"},
		{json.Unmarshal([]byte(`{}`), &listed), "a list is expected, not an object"},
		{json.Unmarshal([]byte(`{"N": x}`), &fields), "it is not JSON: byte 7 is not what belongs there"},
		{json.Unmarshal([]byte(`{"N"`), &fields), "it is not JSON: it ends too early"},
		{strict.Decode(&fields), `unknown key "x"`},
		{errOf(regexp.Compile("(")), `it is no regular expression: missing closing ) in "("`}, //nolint:staticcheck // the mistake is the point
		{errors.Join(errOf(strconv.Atoi("x")), errOf(strconv.Atoi("y"))), "\"x\" is not a number\n\"y\" is not a number"},
		{errors.New("ours"), "ours"},
		{nil, ""},
	} {
		if got := Text(c.err); got != c.want {
			t.Errorf("%v\n got %s\nwant %s", c.err, got, c.want)
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	err := Error(errOf(os.ReadFile("/nowhere/at/all")))
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "/nowhere/at/all: no such file or directory" {
		t.Errorf("%v, of %T", err, err)
	}
	if Error(nil) != nil {
		t.Error("nil is an error")
	}
}

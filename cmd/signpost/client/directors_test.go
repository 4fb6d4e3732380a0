package client

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

const patience = 2 * time.Minute

// answers is a director that answers always the same, and counts the questions.
func answers(t *testing.T, status int, body string) (url string, asked *int) {
	t.Helper()
	asked = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		if r.Header.Get("If-Match") != `"v1"` || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers: %v", r.Header)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// What may have arrived at one director is not told to a second, if it must not
// arrive twice.
func TestWhoIsAskedNext(t *testing.T) {
	t.Parallel()
	const away = `{"detail":"the store is away"}`
	for _, c := range []struct {
		name   string
		status int // of the first; 0: nobody listens there
		once   bool
		second bool // whether the second is asked
		want   string
	}{
		{"nobody there", 0, false, true, ""},
		{"nobody there, once", 0, true, true, ""},
		{"cannot now", 503, true, true, ""},
		{"a gateway", 502, false, true, ""},
		{"a gateway, once", 502, true, false, "the store is away"},
		{"a refusal", 409, false, false, "the store is away"},
		{"a redirect", 307, false, true, ""},
	} {
		first := proctest.Nowhere
		if c.status != 0 {
			first, _ = answers(t, c.status, away)
		}
		second, asked := answers(t, 200, "{}")
		d := Directors{URLs: []string{first, second}, Token: "secret", Timeout: patience}
		_, err := d.Ask(t.Context(), Call{Method: http.MethodPost, Path: "/x", Body: 1, IfMatch: "v1", Once: c.once})
		if (*asked == 1) != c.second || (err == nil) != c.second || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the second was asked %d times; %v", c.name, *asked, err)
		}
		if err != nil && !strings.Contains(err.Error(), first) {
			t.Errorf("%s: the error does not say who: %v", c.name, err)
		}
	}
}

// A director that cannot do it now may have done it all the same, which the next
// one then refuses to do again.
func TestDoneAllTheSame(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{true, false} {
		first, _ := answers(t, 503, `{"detail":"the store is away"}`)
		second, _ := answers(t, 409, `{"detail":"there is one of that id"}`)
		d := Directors{URLs: []string{first, second}, Token: "secret", Timeout: patience}
		_, err := d.Ask(t.Context(), Call{Method: http.MethodPost, Path: "/x", Body: 1, IfMatch: "v1", Once: once})
		if r := RefusalOf(err); r == nil || r.Status != 409 {
			t.Fatalf("%v is no refusal", err)
		}
		for _, want := range []string{first + ": the store is away", "all the same", "signpost history"} {
			if strings.Contains(err.Error(), want) != once {
				t.Errorf("once: %t; %q: %v", once, want, err)
			}
		}
	}
}

// What is cut is not taken for the whole.
func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	for size, want := range map[int]string{most: "", most + 1: "larger than the 1 MB"} {
		url, _ := answers(t, 200, strings.Repeat(" ", size))
		d := Directors{URLs: []string{url}, Token: "secret", Timeout: patience, most: most}
		a, err := d.Ask(t.Context(), Call{Method: http.MethodGet, Path: "/x", Body: 1, IfMatch: "v1"})
		if want == "" && (err != nil || len(a.Body) != size) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: %d, %v", size, len(a.Body), err)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // which accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := Directors{URLs: []string{"http://" + l.Addr().String()}, Timeout: 20 * time.Millisecond}
	if _, err := d.Ask(t.Context(), Call{Method: http.MethodGet, Path: "/"}); err == nil || !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Errorf("%v", err)
	}
}

func TestAnswersThatAreNoDirectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{404, "<html>nginx</html>", "404 Not Found; is this the operators' side of a director?"},
		{200, "<html>welcome</html>", "the answer is not a director's"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		defer s.Close()
		to := &Terminal{Out: &bytes.Buffer{}, Getenv: func(string) string { return "" }, Now: time.Now}
		err := (&StatusCmd{Query{Access: Access{Server: []string{s.URL}}}}).Run(t.Context(), to)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d: %v, want %s", c.status, err, c.want)
		}
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal to be had: ", err)
	}
	defer tty.Close()
	plainFile, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		out  *os.File
		env  string
		want bool
	}{{tty, "", true}, {tty, "NO_COLOR", false}, {tty, "TERM", false}, {plainFile, "", false}} {
		to := &Terminal{Out: c.out, Getenv: func(name string) string { return map[string]string{c.env: "dumb"}[name] }}
		if got := to.colours(); got != c.want {
			t.Errorf("to %s with %s: %v", c.out.Name(), c.env, got)
		}
	}
}

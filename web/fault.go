package web

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"
	"github.com/signpost-fm/signpost/director"
)

// fault is an answer that says no. Handlers return it, and [Server.refuse] turns it into a
// response.
type fault struct {
	status int
	text   string // one short line for logs and tools; players never show it
	said   string // the same on a page for people
	retry  bool   // it may pass: the answer has a Retry-After
	body   []byte
	length []string // the body's Content-Length
	page   func() []byte
}

func newFault(status int, retry bool, text, said string) *fault {
	f := &fault{
		status: status, retry: retry, text: text, said: said,
		body: []byte(text + "\n"), length: []string{strconv.Itoa(len(text) + 1)},
	}
	f.page = sync.OnceValue(func() []byte { return faultPage(f) })
	return f
}

func (f *fault) Error() string { return f.text }

// mayPassByScheme says whether a node of the other scheme could still serve the listener.
func (f *fault) mayPassByScheme() bool { return f == faultFull || f == faultNobody }

var (
	faultBadPath     = newFault(http.StatusBadRequest, false, "the request has control characters in its path or query", "This address does not work")
	faultMembers     = newFault(http.StatusUnauthorized, false, "this stream wants a password or a token", "This stream wants a password")
	faultRefused     = newFault(http.StatusForbidden, false, "this stream is not open to you", "This stream is not open to you")
	faultRuleDenies  = newFault(http.StatusForbidden, false, "this player is not served here", "This player is not served here")
	faultNoMount     = newFault(http.StatusNotFound, false, "no such stream", "There is no such stream")
	faultGone        = newFault(http.StatusGone, false, "this stream is over for good", "This stream is over for good")
	faultMethod      = newFault(http.StatusMethodNotAllowed, false, "use GET", "This address is for listening only")
	faultTooLong     = newFault(http.StatusRequestURITooLong, false, "the path or the query is too long", "This address is too long")
	faultKeyRate     = newFault(http.StatusTooManyRequests, true, "too many requests", "That was too often")
	faultAddressRate = newFault(http.StatusTooManyRequests, true, "too many requests from this address", "Too many listeners at once from where you are")
	faultDenied      = newFault(http.StatusUnavailableForLegalReasons, false, "this stream is not licensed for your region", "This stream is not licensed for where you are")
	faultBroken      = newFault(http.StatusInternalServerError, false, "the director failed", "Something went wrong here")
	faultParts       = newFault(http.StatusNotImplemented, false, "HLS and DASH are not sent inline, and this player or the scheme rules out a redirect", "This stream cannot be sent to your player")
	faultStarting    = newFault(http.StatusServiceUnavailable, true, "starting, try again soon", "We are just starting")
	faultDown        = newFault(http.StatusServiceUnavailable, true, "this stream is off the air right now", "This stream is off the air right now")
	faultFull        = newFault(http.StatusServiceUnavailable, true, "all nodes are full, try again soon", "All seats are taken right now")
	faultNobody      = newFault(http.StatusServiceUnavailable, true, "no node is available right now", "This stream cannot be reached right now")
	faultScheme      = newFault(http.StatusServiceUnavailable, true, "no node serves this stream over this scheme", "This stream cannot be sent to your player right now")
	faultNoRoom      = newFault(http.StatusServiceUnavailable, true, "no room for this stream, try again soon", "All seats are taken right now")
	faultNoUpstream  = newFault(http.StatusServiceUnavailable, true, "no node gives this stream right now", "This stream cannot be reached right now")
)

// faultOf returns the fault for the outcome of a decision without a node.
func faultOf(o director.Outcome) *fault {
	switch o {
	case director.NoMount:
		return faultNoMount
	case director.MountDown:
		return faultDown
	case director.Denied:
		return faultDenied
	case director.Full:
		return faultFull
	default:
		return faultNobody
	}
}

// Listeners that are refused together must not come back together: Retry-After is 5 to 20
// seconds, at random.
var retryAfter = func() (values [16][]string) {
	for i := range values {
		values[i] = []string{strconv.Itoa(5 + i)}
	}
	return values
}()

// refuse answers with a fault. It is the only place where errors become responses.
func (s *Server) refuse(x *exchange, err error) {
	var f *fault
	var router *echo.HTTPError
	switch {
	case errors.As(err, &f):
	case errors.As(err, &router) && router.Code < http.StatusInternalServerError:
		// The router knows all paths but the empty one ("GET http://radio.example HTTP/1.1").
		f = faultMethod
		if slices.Contains(methods, x.r.Method) {
			f = faultNoMount
		}
	default:
		s.cfg.Log.Error("request failed", "err", err, "path", x.r.URL.Path)
		f = faultBroken
	}
	if x.c.Response().Committed {
		return
	}
	x.answer, x.fault = NoAnswer, f
	if f == faultRuleDenies {
		x.answer = Deny
	}
	h := x.header()
	delete(h, "Location")
	body := f.body
	if x.policy.Page && x.browser() {
		body = f.page()
		x.pageHeaders(body)
	} else {
		h["Content-Type"] = typePlain
		h["Content-Length"] = f.length
	}
	h["Cache-Control"] = noStore
	h["Access-Control-Allow-Origin"] = anyOrigin
	if f.retry {
		h["Retry-After"] = retryAfter[rand.IntN(len(retryAfter))]
	}
	x.policy.connection(h)
	switch f.status {
	case http.StatusMethodNotAllowed:
		h["Allow"] = allowMethods
	case http.StatusTooManyRequests:
		h["Connection"] = closeConnection // a client in a loop must open a new connection each time
	}
	x.w.WriteHeader(f.status)
	if x.r.Method != http.MethodHead {
		x.w.Write(body)
	}
}

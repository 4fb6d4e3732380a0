// Package wording says in an operator's words what the errors of the system and of Go's
// standard library mean, and numbers with what they count. Those errors are written for who wrote the program: they name functions
// (ParseAddr), system calls (dial tcp) and types (json: cannot unmarshal).
package wording

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Count writes a number of things, such as "1 node" and "2 nodes".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Text returns what err says, with everything in it that the system or the standard
// library wrote in plain words. Empty: err is nil.
func Text(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for _, e := range theirs(err, nil) {
		before, _, _ := strings.Cut(text, e.wrote)
		if at, why, ok := strings.Cut(e.plain, ": "); ok && strings.Contains(before, at+": ") {
			e.plain = why // the address is told already
		}
		text = strings.ReplaceAll(text, e.wrote, e.plain)
	}
	return leftovers(text)
}

// Error returns err with the text that [Text] makes of it. nil for nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return &reworded{Text(err), err}
}

type reworded struct {
	text string
	err  error
}

// Error returns the text.
func (e *reworded) Error() string { return e.text }

// Unwrap returns the error that is said in plain words.
func (e *reworded) Unwrap() error { return e.err }

// A part of an error's text is what one of the errors that it wraps wrote, and what that
// is in plain words.
type part struct{ wrote, plain string }

// theirs appends the outermost errors in err that words are known for.
func theirs(err error, all []part) []part {
	if say, ok := words(err); ok {
		return append(all, part{err.Error(), say})
	}
	switch e := err.(type) { //nolint:errorlint // this is what walks through the wrapped
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return theirs(inner, all)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = theirs(inner, all)
		}
	}
	return all
}

// words returns what one error means, without looking at what wraps it.
func words(err error) (string, bool) {
	switch e := err.(type) { //nolint:errorlint // theirs walks through the wrapped
	case *url.Error:
		if e.Op == "parse" {
			return fmt.Sprintf("%q is no URL: %s", e.URL, Text(e.Err)), true
		}
		why := Text(e.Err)
		if at, rest, ok := strings.Cut(why, ": "); ok && strings.Contains(e.URL, at) {
			why = rest // the address is told already
		}
		return e.URL + ": " + why, true
	case *net.OpError:
		return connection(e), true
	case *net.DNSError:
		return lookup(e), true
	case *net.AddrError:
		return fmt.Sprintf("%q is no address: %s", e.Addr, e.Err), true
	case *fs.PathError:
		return e.Path + ": " + Text(e.Err), true
	case *os.LinkError:
		return e.New + ": " + Text(e.Err), true
	case *os.SyscallError:
		return Text(e.Err), true
	case syscall.Errno:
		return cause(e), true
	case *strconv.NumError:
		if errors.Is(e.Err, strconv.ErrRange) {
			return fmt.Sprintf("%q is too large a number", e.Num), true
		}
		return fmt.Sprintf("%q is not a number", e.Num), true
	case *json.SyntaxError:
		if strings.Contains(e.Error(), "unexpected end") {
			return "it is not JSON: it ends too early", true
		}
		return fmt.Sprintf("it is not JSON: byte %d is not what belongs there", e.Offset), true
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("%s is expected%s, not %s", jsonType(e.Type), wrapped(" at ", e.Field), jsonValue(e.Value)), true
	case *time.ParseError:
		return fmt.Sprintf("%q is not a time; write one such as 2026-11-30T18:00:00Z", e.Value), true
	case *syntax.Error:
		return fmt.Sprintf("it is no regular expression: %s in %q", e.Code, e.Expr), true
	case *tls.CertificateVerificationError:
		return Text(e.Err), true
	case tls.RecordHeaderError:
		return "what answers there does not speak TLS", true
	case tls.AlertError:
		return "the other side refuses the TLS connection: " + strings.TrimPrefix(e.Error(), "tls: "), true
	case x509.UnknownAuthorityError:
		return "its certificate is from an unknown authority", true
	case x509.HostnameError:
		return fmt.Sprintf("its certificate is not for %s%s", e.Host, namesOf(e.Certificate)), true
	case x509.CertificateInvalidError:
		return invalid(e), true
	}
	for _, known := range fixed {
		if err == known.err { //nolint:errorlint // theirs walks through the wrapped
			return known.plain, true
		}
	}
	if late, ok := err.(net.Error); ok && late.Timeout() { //nolint:errorlint // as above
		return "no answer in time", true
	}
	return "", false
}

// fixed are errors that are values.
var fixed = []struct {
	err   error
	plain string
}{
	{context.Canceled, "it was stopped"},
	{io.EOF, "it ended without an answer"},
	{io.ErrUnexpectedEOF, "it ended too early"},
	{net.ErrClosed, "the connection is closed"},
}

// connection says what became of a connection. The address is told once.
func connection(e *net.OpError) string {
	why := Text(e.Err)
	at := e.Addr
	if e.Op == "read" || e.Op == "write" {
		if errors.Is(e.Err, io.EOF) || errors.Is(e.Err, syscall.EPIPE) {
			why = "the other side closed the connection"
		}
	}
	if at == nil || strings.Contains(why, at.String()) {
		return why
	}
	var dns *net.DNSError
	if errors.As(e.Err, &dns) {
		return why
	}
	return at.String() + ": " + why
}

func lookup(e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return fmt.Sprintf("DNS knows no name %q", e.Name)
	case e.IsTimeout:
		return fmt.Sprintf("DNS did not tell in time the address of %q", e.Name)
	}
	return fmt.Sprintf("the address of %q cannot be looked up: %s", e.Name, e.Err)
}

// causes are the system's errors whose own text names no cause that an operator could
// look for.
var causes = map[syscall.Errno]string{
	syscall.EADDRINUSE:    "the address is already in use",
	syscall.EADDRNOTAVAIL: "this machine does not have this address",
	syscall.ECONNRESET:    "the other side broke off the connection",
	syscall.EPIPE:         "the other side closed the connection",
	syscall.EHOSTUNREACH:  "there is no way to this machine (no route to host)",
	syscall.ENETUNREACH:   "there is no way to this network (network is unreachable)",
	syscall.ETIMEDOUT:     "no answer in time",
	syscall.EMFILE:        "this process has no file descriptor left (too many open files)",
	syscall.ENFILE:        "this machine has no file descriptor left (too many open files in system)",
}

func cause(e syscall.Errno) string {
	if say, ok := causes[e]; ok {
		return say
	}
	return e.Error()
}

func invalid(e x509.CertificateInvalidError) string {
	if e.Reason == x509.Expired && e.Cert != nil {
		if strings.Contains(e.Detail, "before") {
			return "its certificate holds only from " + e.Cert.NotBefore.UTC().Format(time.RFC3339)
		}
		return "its certificate has expired: it ended at " + e.Cert.NotAfter.UTC().Format(time.RFC3339)
	}
	return "its certificate is not valid: " + strings.TrimPrefix(e.Error(), "x509: ")
}

// namesOf lists for whom a certificate is.
func namesOf(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return wrapped(", but for ", strings.Join(names, ", "))
}

func wrapped(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func jsonType(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func jsonValue(v string) string {
	kind, rest, _ := strings.Cut(v, " ")
	switch kind {
	case "string":
		return "text"
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	case "number":
		return "the number" + wrapped(" ", rest)
	}
	return v
}

// unnamed are texts of errors that have no type of their own.
var unnamed = []struct {
	wrote *regexp.Regexp
	plain string
}{
	{regexp.MustCompile(`(?:netip\.)?ParseAddr\((".*?")\): [^;]*`), "$1 is not an IP address"},
	{regexp.MustCompile(`(?:netip\.)?ParsePrefix\((".*?")\): [^;]*`), "$1 is not a network; write one such as 203.0.113.0/24"},
	{regexp.MustCompile(`(?:time: invalid duration|time: unknown unit ".*?" in duration|time: missing unit in duration) (".*?")`), "$1 is not a duration; write a number with its unit, such as 30s, 5m or 2h"},
	{regexp.MustCompile(`json: unknown field (".*?")`), "unknown key $1"},
	{regexp.MustCompile(`first path segment in URL cannot contain colon`), "it has no scheme; begin it with http:// or https://"},
	{regexp.MustCompile(`missing protocol scheme`), "it has no scheme; begin it with http:// or https://"},
	{regexp.MustCompile(`unsupported protocol scheme ".*?"`), "begin it with http:// or https://"},
	{regexp.MustCompile(`net/url: invalid control character in URL`), "it has a control character in it"},
	{regexp.MustCompile(`invalid port ":?(.*?)" after host`), `the port "$1" is no number from 1 to 65535`},
	{regexp.MustCompile(`http: server gave HTTP response to HTTPS client`), "it speaks http, and was asked by https"},
	{regexp.MustCompile(`http: no Host in request URL`), "the URL has no host"},
	{regexp.MustCompile(`net/http: TLS handshake timeout`), "no answer in time while TLS began"},
	{regexp.MustCompile(`net/http: timeout awaiting response headers`), "no answer in time"},
	{regexp.MustCompile(`tls: private key does not match public key`), "the key does not belong to the certificate"},
	{regexp.MustCompile(`tls: failed to find any PEM data in (?:certificate|key) input`), "there is nothing in PEM in one of the two"},
	{regexp.MustCompile(`tls: failed to find (?:certificate|"CERTIFICATE") PEM (?:block|data) in certificate input[^;]*`), "the first holds no certificate in PEM; are the two files swapped?"},
	{regexp.MustCompile(`tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input[^;]*`), "the second holds no private key in PEM"},
	{regexp.MustCompile(`error parsing regexp: `), "it is no regular expression: "},
	{regexp.MustCompile(`\bi/o timeout\b`), "no answer in time"},
	{regexp.MustCompile(`\bx509: `), ""},
	{regexp.MustCompile(`\btls: `), "TLS: "},
}

func leftovers(text string) string {
	for _, u := range unnamed {
		text = u.wrote.ReplaceAllString(text, u.plain)
	}
	return text
}

package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store"
)

// errMistake is wrapped by errors that are the caller's mistake, not Redis's.
var errMistake = errors.New("refused")

// failed converts err to an error that [store.Store] promises.
func (s *Store) failed(ctx context.Context, err error) error {
	switch {
	case s.closed.Load():
		return store.ErrClosed
	case errors.Is(err, errMistake):
		return err
	}
	if c, ok := s.client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx) // otherwise it would look for a new master only after 10 s
	}
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		err = s.wrongType(ctx, err)
	}
	return fmt.Errorf("%w: %w", store.ErrAway, s.explain(err))
}

// wrongType finds the key that another program uses, and names it in the error.
func (s *Store) wrongType(ctx context.Context, err error) error {
	for key, want := range s.keys.types() {
		kind, _ := s.client.Type(ctx, key).Result()
		if kind != "" && kind != "none" && kind != want {
			return fmt.Errorf("the key %s holds a %s that signpost did not write; delete it, or give signpost another prefix: %w", key, kind, err)
		}
	}
	return err
}

// explain prefixes an error of Redis, or of the connection to it, with its remedy.
func (s *Store) explain(err error) error {
	remedy := remedyOf(err)
	if denied(err) {
		remedy = "the ACL lets this user do too little; run this there, and ACL SAVE if a file keeps the users: " + s.rights
	}
	if remedy != "" {
		return fmt.Errorf("%s: %w", remedy, wording.Error(err))
	}
	return wording.Error(err)
}

// refusals lists the beginnings of Redis's errors, each with its remedy.
var refusals = []struct{ prefix, remedy string }{
	{"LOADING", "redis has started and reads its data; it will answer by itself"},
	{"READONLY", "this redis is a replica and takes no writes; give the master's address, or the sentinels and the master's name"},
	{"MASTERDOWN", "this redis is a replica that has lost its master; give the master's address, or the sentinels and the master's name"},
	{"NOREPLICAS", "redis has fewer replicas than it is told to wait for (min-replicas-to-write)"},
	{"MISCONF", "redis cannot save its data and takes no writes; see its log, most often its disk is full"},
	{"OOM", "redis has used up its maxmemory; raise it, or give signpost a redis that nobody else fills"},
	{"MOVED", "this redis is a node of a cluster; set cluster"},
	{"ASK", "this redis is a node of a cluster; set cluster"},
	{"CLUSTERDOWN", "the cluster does not serve all its slots; see CLUSTER INFO at its nodes"},
	{"TRYAGAIN", "the cluster moves a slot; it will answer by itself"},
	{"CROSSSLOT", "the cluster does not know hash tags, which keep signpost's keys in one slot"},
	{"BUSY", "another program's script keeps redis busy"},
	{"NOAUTH", "redis wants a password; put it into a file, and name that as the password file"},
	{"WRONGPASS", "redis refuses the user or the password; see the user's name and the password file"},
	{"ERR AUTH", "redis has no password; take the password file out, or set requirepass or an ACL user there"},
	{"ERR Client sent AUTH", "redis has no password; take the password file out, or set requirepass or an ACL user there"},
	{"WRONGTYPE", "another program uses a key under this prefix; give signpost another prefix"},
	{"ERR DB index", "redis has fewer databases; give a lower number"},
	{"ERR max number of clients", "redis takes no more connections; raise its maxclients"},
	{"ERR This instance has cluster support disabled", "this redis is no cluster; do not set cluster"},
	{"ERR unknown command", "this server does not know what redis 6 does, or commands were renamed there"},
	{"IDONTKNOW", "the sentinels do not know the master yet"},
}

// remedyOf returns the remedy for err; empty if none is known.
func remedyOf(err error) string {
	var refused redis.Error
	if errors.As(err, &refused) {
		text := refused.Error()
		for _, r := range refusals {
			// Scripts put text before the errors of their commands.
			if strings.HasPrefix(text, r.prefix) || strings.Contains(text, "-"+r.prefix+" ") {
				return r.remedy
			}
		}
		if errors.Is(err, redis.Nil) {
			return "the sentinels watch no master of this name; compare with SENTINEL MASTERS"
		}
	}
	var (
		unknownCA x509.UnknownAuthorityError
		wrongName x509.HostnameError
		invalid   x509.CertificateInvalidError
		plain     tls.RecordHeaderError
		alert     tls.AlertError
		handshake handshakeError
		lookup    *net.DNSError
	)
	switch {
	case errors.As(err, &unknownCA):
		return "the server's certificate is from an authority that is not known; name that one's certificate as the CA file"
	case errors.As(err, &wrongName):
		return "the server's certificate is for another name; give that one as the server name"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid"
	case errors.As(err, &plain):
		return "the server does not speak TLS; write redis://, or give its TLS port"
	case errors.As(err, &alert), strings.Contains(err.Error(), "certificate required"):
		return "the server refuses the TLS connection; most often it wants a certificate (name one, and its key)"
	case errors.As(err, &handshake) && timedOut(err):
		return "the server does not speak TLS, or does not answer; write redis://, or give its TLS port"
	case strings.Contains(err.Error(), "sentinel"):
		return "no sentinel answers for this master; see their addresses, the master's name and their password"
	case errors.As(err, &lookup):
		return "the server's name is not known; see its spelling and DNS"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "nothing listens there; see that redis runs, and its address"
	case errors.Is(err, context.Canceled):
		return "" // the caller canceled it
	case timedOut(err):
		return "redis does not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server closed the connection; if it always does, it may speak TLS only (write rediss://), or it wants a certificate (name one, and its key)"
	case strings.Contains(err.Error(), "redis: can't parse"), strings.Contains(err.Error(), "redis: invalid reply"):
		return "what answers there is not redis, or speaks TLS: then write rediss://"
	}
	return ""
}

func timedOut(err error) bool {
	var late net.Error
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &late) && late.Timeout())
}

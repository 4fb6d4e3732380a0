package redisstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// quiet stops go-redis from logging to standard error: while Redis is away it would
// log at every tick. All that it logs is also returned as an error.
var quiet = sync.OnceFunc(logging.Disable)

// dial returns the client, which connects when it is first used, its user name in
// Redis, and the counter of its round trips.
func (c Config) dial() (client redis.UniversalClient, user string, trips *atomic.Uint64, err error) {
	t, err := c.check()
	if err != nil {
		return nil, "", nil, err
	}
	o := &redis.UniversalOptions{
		Addrs:      t.addrs,
		MasterName: c.MasterName,
		DB:         t.db,
		Username:   t.user,
		Protocol:   2, // nothing here needs 3, and all servers speak 2

		MaxRetries:            -1, // the next tick is the retry
		MaxRedirects:          2,  // MOVED, and ASK behind it
		DialerRetries:         1,
		DialTimeout:           2 * c.waits.dial, // our dialer gives up first, and says in which step
		ReadTimeout:           c.waits.answer,
		WriteTimeout:          c.waits.answer,
		ContextTimeoutEnabled: true,
		PoolSize:              poolSize,
		PoolTimeout:           c.waits.dial,
		ConnMaxIdleTime:       -1, // a director is never idle

		DisableIdentity:          true, // otherwise ACLs would have to allow CLIENT
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	secure, err := c.tlsConfig(t)
	if err != nil {
		return nil, "", nil, err
	}
	o.Dialer = dialer{secure, c.waits.dial}.dial
	// go-redis itself ignores NOAUTH and LOADING while it connects, and Redis's answer
	// to a script from an unauthenticated client is less clear.
	o.OnConnect = func(ctx context.Context, conn *redis.Conn) error { return conn.Ping(ctx).Err() }
	if c.PasswordFile != "" {
		if _, err := readPassword(c.PasswordFile); err != nil {
			return nil, "", nil, err
		}
		o.CredentialsProviderContext = func(context.Context) (user, password string, err error) {
			password, err = readPassword(c.PasswordFile)
			return t.user, password, err
		}
	}
	if c.SentinelPasswordFile != "" {
		if o.SentinelPassword, err = readPassword(c.SentinelPasswordFile); err != nil {
			return nil, "", nil, err
		}
	}
	quiet()
	h := hook{new(atomic.Uint64)}
	switch {
	case c.Cluster:
		cluster := o.Cluster()
		cluster.DisableRoutingPolicies = true // they send COMMAND, and all keys are in one slot
		client := redis.NewClusterClient(cluster)
		client.OnNewNode(func(node *redis.Client) { node.AddHook(h) })
		return client, t.user, h.trips, nil
	case c.MasterName != "":
		client := redis.NewFailoverClient(o.Failover())
		client.AddHook(h)
		return client, t.user, h.trips, nil
	default:
		simple := o.Simple()
		simple.Network = t.network
		client := redis.NewClient(simple)
		client.AddHook(h)
		return client, t.user, h.trips, nil
	}
}

// dialer dials like go-redis's own dialer, but its errors say whether the TLS
// handshake failed.
type dialer struct {
	tls     *tls.Config // nil: plain
	timeout time.Duration
}

func (d dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || d.tls == nil {
		return conn, err
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr) // empty for a socket: the handshake then fails
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, handshakeError{addr, err}
	}
	return secure, nil
}

// handshakeError is a TLS handshake that failed.
type handshakeError struct {
	addr string
	err  error
}

func (e handshakeError) Error() string {
	return fmt.Sprintf("TLS handshake with %s: %v", e.addr, e.err)
}
func (e handshakeError) Unwrap() error { return e.err }

// hook counts round trips to a server, and returns failed dials as connections.
type hook struct{ trips *atomic.Uint64 }

// DialHook implements [redis.Hook]. After as many failures as the pool has
// connections, go-redis dials only once a second, and fails at once meanwhile: Redis
// could be back long before a director noticed. So DialHook returns a failure as a
// connection on which every read and write fails with it.
func (hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return failedConn{fmt.Errorf("connect: %w", err)}, nil // go-redis removes one level of wrapping
		}
		return conn, nil
	}
}

// ProcessHook implements [redis.Hook].
func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.trips.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements [redis.Hook]: a pipeline is one round trip.
func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 0 {
			h.trips.Add(1)
		}
		return next(ctx, cmds)
	}
}

// failedConn is a connection that could not be made, with the reason.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)       { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)      { return 0, c.err }
func (failedConn) Close() error                     { return nil }
func (failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (failedConn) SetDeadline(time.Time) error      { return nil }
func (failedConn) SetReadDeadline(time.Time) error  { return nil }
func (failedConn) SetWriteDeadline(time.Time) error { return nil }

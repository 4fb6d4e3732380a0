package redisstore

import "time"

// UseClock makes the scripts take the store's clock from Lua code that defines
// clock(), returning µs.
func (s *Store) UseClock(lua string) { s.scripts = scriptsWith(lua) }

// PingAfter sets how long a watch that begins now may be silent.
func (s *Store) PingAfter(d time.Duration) { s.pingAfter = d }

// Patiently is c for a test in which Redis answers, however busy the machine is.
func Patiently(c Config) Config {
	c.waits = waits{dial: Patience, answer: Patience, call: 2 * Patience}
	return c
}

// Patience is how long a store waits for an answer that was opened so.
const Patience = time.Minute

// MaxChanges is how many changes of a director are kept.
const MaxChanges = maxChanges

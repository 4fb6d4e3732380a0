package redisstore

import "time"

// UseClock makes the scripts take the store's clock from Lua code that defines
// clock(), returning µs.
func (s *Store) UseClock(lua string) { s.scripts = scriptsWith(lua) }

// PingAfter sets how long a watch that begins now may be silent.
func (s *Store) PingAfter(d time.Duration) { s.pingAfter = d }

// Patiently is c for a test in which Redis answers, however busy the machine is.
func Patiently(c Config) Config {
	c.waits = waits{dial: 8 * time.Second, answer: 8 * time.Second, call: 16 * time.Second}
	return c
}

// MaxChanges is how many changes of a director are kept.
const MaxChanges = maxChanges

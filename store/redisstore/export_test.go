package redisstore

import "time"

// UseClock makes the scripts take the store's clock from Lua code that defines
// clock(), returning µs.
func (s *Store) UseClock(lua string) { s.scripts = scriptsWith(lua) }

// PingAfter sets how long a watch that begins now may be silent.
func (s *Store) PingAfter(d time.Duration) { s.pingAfter = d }

// MaxChanges is how many changes of a director are kept.
const MaxChanges = maxChanges

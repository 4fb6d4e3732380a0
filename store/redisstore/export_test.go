package redisstore

// UseClock makes the scripts take the store's clock from Lua code that defines
// clock(), returning µs.
func (s *Store) UseClock(lua string) { s.scripts = scriptsWith(lua) }

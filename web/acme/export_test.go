package acme

import "time"

// CheckEvery makes a Manager look for renewals more often.
func (c *Config) CheckEvery(d time.Duration) { c.checkEvery = d }

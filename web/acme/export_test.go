package acme

import "time"

// CheckEvery makes a Manager look for renewals more often.
func (c *Config) CheckEvery(d time.Duration) { c.checkEvery = d }

// LookEvery makes a Manager look more often for certificates that others put into the store.
func (c *Config) LookEvery(d time.Duration) { c.lookEvery = d }

// Pause makes a Manager try again so soon after each attempt that fails.
func (c *Config) Pause(d time.Duration) { c.pauses = []time.Duration{d} }

package main

// openAdmin opens the operators' side.
func (d *service) openAdmin(*settings) error { return nil }

package main

import (
	"fmt"
	"net"
	"strconv"
)

// listeners checks where listeners are to come in.
func (c *converter) listeners() {
	if len(c.Listen.HTTP)+len(c.Listen.HTTPS) == 0 {
		c.fail("no address to listen at; give listen.http, such as \":8000\"", "listen")
	}
	check := func(addr string, path ...any) {
		_, port, err := net.SplitHostPort(addr) // a host's name is looked up when it is opened
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			c.fail(fmt.Sprintf("%q is no address to listen at; write host:port, or :port for all interfaces", addr), path...)
		}
	}
	for i, addr := range c.Listen.HTTP {
		check(addr, "listen", "http", i)
	}
	for i, addr := range c.Listen.HTTPS {
		check(addr, "listen", "https", i)
	}
	if c.Admin.Listen != "" {
		check(c.Admin.Listen, "admin", "listen")
	}
	if len(c.Listen.HTTPS) > 0 && (c.Listen.CertFile == "" || c.Listen.KeyFile == "") {
		c.fail("https needs cert_file and key_file beside it", "listen", "https")
		return
	}
	c.certificate("listen", c.Listen.CertFile, c.Listen.KeyFile)
	c.certificate("admin", c.Admin.CertFile, c.Admin.KeyFile)
}

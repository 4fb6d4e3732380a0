//go:build !linux

package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// sharesPorts says that several sockets can share an address.
const sharesPorts = false

// packetSocket is a UDP socket.
type packetSocket struct{ *net.UDPConn }

func newPacketSocket(u *net.UDPConn) (*packetSocket, error) { return &packetSocket{u}, nil }

func socketOptions(string, string, syscall.RawConn) error { return nil }

var errHandOver = errors.New("dns: sockets can be handed over on Linux only")

// AsPackets is for Linux only.
func AsPackets(*os.File) (Packets, bool) { return Packets{}, false }

func takePacketSocket(*os.File, netip.AddrPort) (*packetSocket, error) { return nil, errHandOver }

func (p *packetSocket) duplicate() (*os.File, error) { return nil, errHandOver }

// serveUDP answers at a socket until it is closed. It is slower than on Linux.
func (s *Server) serveUDP(u *packetSocket) error {
	w := s.newPacketWorker()
	b := make([]byte, 2048)
	for {
		n, from, err := u.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("dns: %w", err)
		}
		if size := s.safely(w, b, n, from.Addr(), s.cfg.Now()); size > 0 {
			if _, err := u.WriteToUDPAddrPort(b[:size], from); err != nil {
				s.stats.sendFails.Add(1)
			}
		}
	}
}

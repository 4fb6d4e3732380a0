package service

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/dns"
)

// directorsTick is how often it is looked which directors live: as often as they tell.
const directorsTick = 250 * time.Millisecond

// names is the DNS side of a director.
type names struct {
	server    *dns.Server // nil: DNS is not answered
	directors atomic.Pointer[[]dns.Director]
	addrs     []netip.AddrPort // where it answers
	sockets   []*dns.Sockets
	leaving   atomic.Bool // listeners are no more to be led to this director
	// challenges are the TXT records that a certificate authority asks for; guarded by
	// Service.reload.
	challenges map[string][]string
}

// openDNS answers DNS. Until the first snapshot, names of nodes get SERVFAIL.
func (d *Service) openDNS(s *config.Settings) error {
	if len(s.DNS.Listen) == 0 {
		return nil
	}
	d.names.directors.Store(&[]dns.Director{})
	c := dns.Config{
		View: d.syncer.View, Unmap: d.geo.unmap, Locate: d.geo.locate, Widest: d.geo.widest, Edition: d.geo.edition,
		Directors: func() []dns.Director { return *d.names.directors.Load() },
		Secret:    s.Secret, Log: d.log.With("part", "dns"),
	}
	if d.records != nil && s.DNS.LogQueries {
		c.Record = d.records.addDNS
	}
	if err := d.newDNS(s, c); err != nil {
		return err
	}
	d.closing.run("names of directors", d.followDirectors)
	d.closing.run("addresses of nodes", d.names.server.Run)
	for _, addr := range s.DNS.Listen {
		at, when, err := d.listenDNS(addr)
		if err != nil {
			return err
		}
		d.names.sockets = append(d.names.sockets, at)
		d.names.addrs = append(d.names.addrs, at.Addr())
		d.log.Info("listening", "for", "dns", "addr", at.Addr().String())
		front := len(d.closing.all)
		d.closing.run("dns at "+addr, func(ctx context.Context) error {
			if when != nil && !when(ctx) {
				return at.Close()
			}
			err := d.names.server.Serve(ctx, at)
			if err == nil && ctx.Err() == nil {
				err = errors.New("it ended")
			}
			return err
		})
		d.closing.markFront(front)
	}
	return nil
}

// newDNS makes the server, while nobody publishes records in it.
func (d *Service) newDNS(s *config.Settings, c dns.Config) (err error) {
	d.reload.Lock()
	defer d.reload.Unlock()
	c.Policy = d.dnsPolicy(s)
	d.names.server, err = dns.New(c)
	return err
}

// dnsPolicy is the settings' policy, with the records that a certificate authority asks for.
func (d *Service) dnsPolicy(s *config.Settings) dns.Policy {
	p := s.DNS.Policy
	p.Zone.Records = slices.Clone(p.Zone.Records)
	for _, name := range slices.Sorted(maps.Keys(d.names.challenges)) {
		p.Zone.Records = append(p.Zone.Records, dns.Fixed{Name: name, TTL: 0, TXT: d.names.challenges[name]})
	}
	return p
}

// publish answers with other records for a certificate authority.
func (d *Service) publish(challenges map[string][]string) {
	d.reload.Lock()
	defer d.reload.Unlock()
	d.names.challenges = challenges
	if d.names.server == nil {
		return // it will have them when it opens
	}
	if err := d.names.server.SetPolicy(d.dnsPolicy(d.settings.Load())); err != nil {
		d.log.Error("the certificate authority is not answered in DNS", "part", "certificates", "err", err)
	}
}

// listenDNS opens the sockets of an address, or takes those that were handed over for it.
// when says when to begin to answer there; nil: at once.
func (d *Service) listenDNS(addr string) (at *dns.Sockets, when func(context.Context) bool, err error) {
	udp, tcp := d.handed.takeDNS(addr)
	if len(udp)+len(tcp) == 0 {
		at, err = dns.Listen(context.Background(), addr)
		return at, nil, err
	}
	at, err = dns.Take(udp, tcp)
	return at, d.mayAnswer, err
}

// DNSAddrs are the addresses at which DNS is answered.
func (d *Service) DNSAddrs() []netip.AddrPort { return d.names.addrs }

// ownAddrs is where listeners reach this director, as it tells the others.
func (d *Service) ownAddrs() []netip.Addr {
	if d.names.leaving.Load() {
		return nil
	}
	return d.settings.Load().DNS.Addrs
}

// followDirectors looks which directors live.
func (d *Service) followDirectors(ctx context.Context) error {
	d.lookForDirectors()
	return every(ctx, directorsTick, d.lookForDirectors)
}

func (d *Service) lookForDirectors() {
	st := d.syncer.Status()
	places := map[string]director.Place{}
	if view := d.syncer.View(); view.Snapshot != nil {
		for i := range view.Nodes() {
			n := view.Node(i).Node
			if _, known := places[n.Site]; !known && n.Site != "" && n.Place.Point != director.NoPoint {
				places[n.Site] = n.Place // a director stands where the nodes of its site do
			}
		}
	}
	all := []dns.Director{}
	if own := d.ownAddrs(); len(own) > 0 {
		all = append(all, dns.Director{Addrs: own, Place: places[st.Director.Site]})
	}
	for _, other := range st.Directors {
		if other.ID != d.id && len(other.Addrs) > 0 {
			all = append(all, dns.Director{Addrs: other.Addrs, Place: places[other.Site]})
		}
	}
	if !reflect.DeepEqual(all, *d.names.directors.Load()) {
		d.names.directors.Store(&all)
	}
}

// explainDNS is what /api/v1/explain/dns answers.
func (d *Service) explainDNS(q admin.DNSQuestion) (any, error) {
	if d.names.server == nil {
		return nil, errors.New("this director does not answer DNS; give dns.listen and dns.zone in its configuration")
	}
	return d.names.server.Explain(dns.Question{Name: q.Name, Type: q.Type, Resolver: q.Resolver, Subnet: q.Subnet})
}

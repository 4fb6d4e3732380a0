package service

import (
	"strconv"

	"github.com/signpost-fm/signpost/web/dns"
)

// addDNS takes the record of a query. It does not wait and does not keep r.
func (l *recordLog) addDNS(r *dns.Record) {
	l.Append(func(b []byte) []byte { return appendDNSRecord(b, r) })
}

// appendDNSRecord appends r as a line of JSON, which tells itself from a request's by
// its key dns. Fields that say nothing are left out.
func appendDNSRecord(b []byte, r *dns.Record) []byte {
	text := func(key, value string) {
		if value != "" {
			b = append(b, key...)
			b = appendJSONString(b, value)
		}
	}
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, `","dns":`...)
	b = appendJSONString(b, r.Outcome)
	text(`,"name":`, r.Name)
	text(`,"type":`, r.Type)
	text(`,"transport":`, r.Transport)
	if len(r.Nodes) > 0 {
		b = append(b, `,"nodes":[`...)
		for i, n := range r.Nodes {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONString(b, string(n))
		}
		b = append(b, ']')
	}
	text(`,"region":`, string(r.Region))
	if r.Country[0] != 0 {
		b = append(b, `,"country":"`...)
		b = append(b, r.Country[:]...)
		b = append(b, '"')
	}
	b = append(b, `,"resolver":"`...)
	b = r.Resolver.AppendTo(b)
	b = append(b, '"')
	if r.Subnet.IsValid() {
		b = append(b, `,"subnet":"`...)
		b = r.Subnet.AppendTo(b)
		b = append(b, `","scope":`...)
		b = strconv.AppendInt(b, int64(r.Scope), 10)
	}
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(r.Bytes), 10)
	return append(b, '}', '\n')
}

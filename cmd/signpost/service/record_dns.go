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
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, `","dns":`...)
	b = appendJSONString(b, r.Outcome)
	b = appendText(b, `,"name":`, r.Name)
	b = appendText(b, `,"type":`, r.Type)
	b = appendText(b, `,"transport":`, r.Transport)
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
	b = appendText(b, `,"region":`, string(r.Region))
	b = appendCountry(b, r.Country)
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

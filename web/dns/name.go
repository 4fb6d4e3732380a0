package dns

import (
	"errors"
	"fmt"
	"strings"
)

// A domain is a name in a compiled zone.
type domain struct {
	text   string // in lower case, without the last dot; the root is "."
	wire   []byte // in wire format, uncompressed
	labels []byte // the part before the zone's name, if inZone
	inZone bool
}

// parseName reads a domain name from a configuration: labels of letters, digits, '-' and
// '_', with or without a final dot.
func parseName(s string) (*domain, error) {
	text := strings.ToLower(strings.TrimSuffix(s, "."))
	if text == "" {
		if s == "." {
			return &domain{text: ".", wire: []byte{0}}, nil
		}
		return nil, errors.New("a name is missing")
	}
	d := &domain{text: text}
	for label := range strings.SplitSeq(text, ".") {
		if err := checkLabel(label); err != nil {
			return nil, fmt.Errorf("%q is not a domain name: %w", s, err)
		}
		d.wire = append(append(d.wire, byte(len(label))), label...)
	}
	d.wire = append(d.wire, 0)
	if len(d.wire) > maxName {
		return nil, fmt.Errorf("%q is not a domain name: it is longer than 253 characters", s)
	}
	return d, nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("there is nothing between two of its dots")
	case len(label) > 63:
		return fmt.Errorf("%q is longer than 63 characters", label)
	case label == "*":
		return errors.New("wildcards are not answered; write the names")
	case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
		return fmt.Errorf("%q begins or ends with '-'", label)
	}
	for _, c := range []byte(label) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return fmt.Errorf("%q has %q in it; use letters, digits and '-', and write a name of other letters as xn--", label, c)
		}
	}
	return nil
}

// under says whether d is the zone's name or ends in it. If so, it sets inZone and labels.
func (d *domain) under(zone *domain) bool {
	if d.text != zone.text && !strings.HasSuffix(d.text, "."+zone.text) {
		return false
	}
	d.inZone, d.labels = true, d.wire[:len(d.wire)-len(zone.wire)]
	return true
}

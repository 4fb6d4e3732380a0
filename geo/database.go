package geo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

// openDatabase opens a database from its bytes. The reader keeps them. The error names the
// problem and the remedy.
func openDatabase(data []byte) (*maxminddb.Reader, error) {
	if err := checkType(data); err != nil {
		return nil, err
	}
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, damaged(data, err)
	}
	return r, nil
}

// checkType opens the database with geoip2, and refuses types that geoip2 knows to hold
// no geography. Types that geoip2 does not know, such as those of ip-location-db, are
// left to compile, which looks into the records.
func checkType(data []byte) error {
	r, err := geoip2.OpenBytes(data)
	if r != nil {
		defer r.Close() // r is set even for a type that geoip2 does not know
	}
	if unknown := (geoip2.UnknownDatabaseTypeError{}); errors.As(err, &unknown) {
		return nil
	}
	if err != nil {
		return damaged(data, err)
	}
	var wrong geoip2.InvalidMethodError
	_, noASN := r.ASN(netip.IPv4Unspecified())
	_, noCity := r.City(netip.IPv4Unspecified())
	if errors.As(noASN, &wrong) && errors.As(noCity, &wrong) {
		return fmt.Errorf("a %s database says nothing about places: use a City, Country or ASN database", r.Metadata().DatabaseType)
	}
	return nil
}

// damaged explains why data is not a database.
func damaged(data []byte, err error) error {
	start := bytes.ToLower(bytes.TrimSpace(data[:min(len(data), 512)]))
	switch {
	case len(data) == 0:
		return errors.New("the file is empty: download it again")
	case bytes.HasPrefix(data, []byte("\x1f\x8b")), bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return errors.New("the file is compressed: unpack it, and use the .mmdb file inside")
	case bytes.HasPrefix(start, []byte("<")), bytes.HasPrefix(start, []byte("{")):
		return errors.New("the file is a web page or a message, not a database: look into it, and check the download and its licence key")
	}
	return fmt.Errorf("the file is truncated or no MaxMind DB: download it again: %w", err)
}

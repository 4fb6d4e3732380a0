#!/usr/bin/env bash
# acmez refuses a renewal window of one second, which a revoked certificate gets from pebble
#
# What was run: github.com/mholt/acmez/v3 v3.1.7 (certmagic's client for ACME), Client.GetRenewalInfo, at a server that
#   answers with a suggestedWindow of one second an hour ago: what pebble v2.10.3, Let's Encrypt's own test server, tells
#   of a certificate that is revoked (RenewalInfoImmediate in its core/types.go).
# Expected: the window, which means "renew now". RFC 9773, 4.2 calls an answer malformed whose end "is equal to or
#   precedes" its start; this one's end is a second later.
# Seen: "server did not return a usable ARI window in 3 attempts": the client subtracts one more second from the window
#   (ari.go), and so the revoked certificate is not renewed before its time. A window of two seconds is taken.
# Date: 2026-11-30
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func ask(window time.Duration) error {
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/dir" {
			fmt.Fprintf(w, `{"newNonce": "%[1]s/n", "newAccount": "%[1]s/a", "newOrder": "%[1]s/o", "renewalInfo": "%[1]s/ari"}`, server.URL)
			return
		}
		start := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
		fmt.Fprintf(w, `{"suggestedWindow": {"start": %q, "end": %q}}`, start.Format(time.RFC3339), start.Add(window).Format(time.RFC3339))
	}))
	defer server.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(4711), NotAfter: time.Now().Add(time.Hour), AuthorityKeyId: []byte{1, 2, 3, 4}, DNSNames: []string{"radio.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	client := acme.Client{Directory: server.URL + "/dir"}
	_, err = client.GetRenewalInfo(context.Background(), leaf)
	return err
}

func main() {
	one, two := ask(time.Second), ask(2*time.Second)
	fmt.Println("a window of one second: ", one)
	fmt.Println("a window of two seconds:", two)
	if one == nil || !strings.Contains(one.Error(), "usable ARI window") || two != nil {
		fmt.Println("this is different now")
		os.Exit(1)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/mholt/acmez/v3@v3.1.7 >/dev/null 2>&1
go run .

package acme_test

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/acme"
	"github.com/signpost-fm/signpost/web/acme/acmetest"
)

func vault(t *testing.T, c acme.Config) *acme.Vault {
	t.Helper()
	c.Email = "engineer@radio.example"
	v, err := acme.OpenVault(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// outcome is what became of a host's certificate, or of the account.
func outcome(t *testing.T, all []acme.Imported, host string) acme.Imported {
	t.Helper()
	i := slices.IndexFunc(all, func(one acme.Imported) bool { return one.Name == host })
	if i < 0 {
		t.Fatalf("nothing about %q in %+v", host, all)
	}
	return all[i]
}

// serial returns the number of the certificate that m shows.
func serial(t *testing.T, m *acme.Manager, host string) string {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		_ = tls.Server(theirs, &tls.Config{GetCertificate: m.GetCertificate}).Handshake()
	}()
	client := tls.Client(ours, &tls.Config{ServerName: host, InsecureSkipVerify: true}) //nolint:gosec // its number is wanted
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// An account and a certificate move to a fleet that runs and could not get one, under
// another secret. Its directors show it at once, and a newer one is never replaced by it.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "moves.radio.example"
	from := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir()), Secret: []byte("the first secret")}
	from.LookEvery(10 * time.Millisecond)
	first, _ := d.run(t, from)
	eventually(t, first, "a certificate", issued)
	var archive bytes.Buffer
	held, err := vault(t, from).Export(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != 2 || held[0].Account == "" || held[1].Name != host || !held[0].Used || !held[1].Used || held[1].Ends.Before(time.Now()) {
		t.Fatalf("exported %+v; want an account and a certificate, both in use", held)
	}

	ca.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/order-plz" {
			acmetest.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many")
			return true
		}
		return false
	})
	to := from
	to.Files, to.Copy, to.Secret = store.OpenDir(t.TempDir()), store.OpenDir(t.TempDir()), []byte("the second secret")
	second, stop := d.run(t, to)
	eventually(t, second, "the refusal", failed)
	all, err := vault(t, to).Import(t.Context(), bytes.NewReader(archive.Bytes()), false)
	if err != nil {
		t.Fatal(err)
	}
	if one := outcome(t, all, host); !one.Stored || one.Text != "stored" {
		t.Errorf("import: %+v", one)
	}
	// The second director made an account of its own before it was refused.
	if one := outcome(t, all, ""); one.Stored || !strings.Contains(one.Text, "--replace-account") {
		t.Errorf("import: %+v", one)
	}
	eventually(t, second, "the imported certificate", issued)
	if err := shake(second, ca, host, host); err != nil {
		t.Error(err)
	}
	stop() // and at the next start, from the copy
	second, _ = d.run(t, to)
	eventually(t, second, "the imported certificate after another start", issued)
	all, err = vault(t, to).Import(t.Context(), bytes.NewReader(archive.Bytes()), true)
	if err != nil {
		t.Fatal(err)
	}
	if one := outcome(t, all, host); !one.Stored || one.Text != "there already" {
		t.Errorf("the second import: %+v", one)
	}
	if one := outcome(t, all, ""); !one.Stored || one.Text != "stored in place of another" {
		t.Errorf("the second import: %+v", one)
	}
	ca.Refuse(nil)

	// A new certificate takes the place of one whose key is known, which is revoked.
	d.manager.Store(first)
	old := serial(t, first, host)
	if err := vault(t, from).Replace(t.Context(), host, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, first, "the new certificate in the director's hands", func(acme.State) bool { return serial(t, first, host) != old })
	if !ca.Revoked(old) || ca.Revoked(serial(t, first, host)) {
		t.Errorf("revoked: the old certificate %v, the new one %v", ca.Revoked(old), ca.Revoked(serial(t, first, host)))
	}
	all, err = vault(t, from).Import(t.Context(), bytes.NewReader(archive.Bytes()), false)
	if err != nil {
		t.Fatal(err)
	}
	if one := outcome(t, all, host); one.Stored || !strings.Contains(one.Text, "one is there that ends later") {
		t.Errorf("import of the old certificate: %+v", one)
	}
	if err := vault(t, from).Replace(t.Context(), "other.example", false); err == nil || !strings.Contains(err.Error(), "is none of listen.acme.names") {
		t.Errorf("replacing another name's: %v", err)
	}

	// What cannot be imported, and what cannot be read.
	refuse := func(what string, v *acme.Vault, archive []byte, want string) {
		t.Helper()
		before, err := v.Held(t.Context())
		if err == nil && len(before) != 2 {
			t.Errorf("%s: %+v", what, before)
		}
		if _, err := v.Import(t.Context(), bytes.NewReader(archive), true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", what, err, want)
		}
	}
	wrong := to
	wrong.Secret = []byte("a third secret 12345")
	refuse("another secret", vault(t, wrong), archive.Bytes(), "acme.secret_file is another than the other directors' have")
	wrong.Secret = nil
	refuse("no secret", vault(t, wrong), archive.Bytes(), "has no acme.secret_file")
	refuse("rubbish", vault(t, to), bytes.Repeat([]byte("rubbish "), 1000), "this is no archive of certificates")
	refuse("nothing", vault(t, to), nil, "no certificate and no account")
	refuse("half of it", vault(t, to), archive.Bytes()[:archive.Len()/2], "cut short")
	refuse("another file", vault(t, to), rewrite(t, archive.Bytes(), ".key", "../key", nil), "belongs to no certificate")
	refuse("another key", vault(t, to), rewrite(t, archive.Bytes(), host+".key", host+".key", []byte("key")), "the archive is damaged: the files of "+host)
	refuse("no description", vault(t, to), rewrite(t, archive.Bytes(), host+".json", host+".json", nil), "missing or damaged")

	// Rubbish in the store is told, and an archive is put in its place.
	names, err := to.Files.FileNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, host+".key") {
			err = to.Files.WriteFile(t.Context(), name, []byte("rubbish"))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var kept bytes.Buffer
	held, err = vault(t, to).Export(t.Context(), &kept)
	if err != nil || len(held) != 2 || held[0].Err != nil || held[1].Err == nil || strings.Contains(kept.String(), host+".key") {
		t.Errorf("export beside rubbish: %v, %+v", err, held)
	}
	rubbish, err := to.Files.FileNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.manager.Store(second)
	if err := vault(t, to).Replace(t.Context(), host, false); err != nil {
		t.Errorf("replacing rubbish: %v", err)
	}
	if held, err = vault(t, to).Held(t.Context()); err != nil || len(held) != 2 || held[1].Err != nil {
		t.Errorf("after rubbish was replaced: %v, %+v", err, held)
	}
	for _, name := range rubbish {
		if strings.HasSuffix(name, host+".key") {
			err = to.Files.WriteFile(t.Context(), name, []byte("rubbish"))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err = vault(t, to).Import(t.Context(), bytes.NewReader(archive.Bytes()), false)
	if err != nil || outcome(t, all, host).Text != "stored in place of one that could not be read" {
		t.Errorf("import over rubbish: %v, %+v", err, all)
	}
}

// rewrite returns an archive with another name or content of the files whose names end so.
func rewrite(t *testing.T, archive []byte, end, name string, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	in, w := tar.NewReader(bytes.NewReader(archive)), tar.NewWriter(&out)
	for {
		h, err := in.Next()
		if err != nil {
			break
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(in)
		if strings.HasSuffix(h.Name, end) {
			h.Name, b = strings.TrimSuffix(h.Name, end)+name, *bytes.NewBuffer(content)
		}
		h.Size = int64(b.Len())
		if err == nil {
			err = w.WriteHeader(h)
		}
		if err == nil {
			_, err = w.Write(b.Bytes())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

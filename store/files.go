package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// MaxFileSize bounds a shared file, in bytes: a chain of certificates takes some 10 kB.
const MaxFileSize = 256 << 10

// Files are small files that directors share beside the [Picture], such as their
// certificates. They do not pass through snapshots, and nothing on a listener's way asks
// for them. All methods are safe for concurrent use.
//
// A name is up to 200 bytes of letters, digits and "._@-", in parts that slashes divide;
// no part begins with a dot. Errors about the store itself wrap [ErrAway].
type Files interface {
	// ReadFile returns a file. If there is none, the error wraps [fs.ErrNotExist].
	ReadFile(ctx context.Context, name string) ([]byte, error)
	// WriteFile creates or replaces a file as a whole. The content is at most
	// [MaxFileSize].
	WriteFile(ctx context.Context, name string, content []byte) error
	// RemoveFile removes a file, if there is one.
	RemoveFile(ctx context.Context, name string) error
	// FileNames returns the names of all files, in order.
	FileNames(ctx context.Context) ([]string, error)

	// Claim gives a lease on a name to a holder for d by the store's clock, and says
	// whether it did: not while another holder has it. The holder extends its own lease
	// by a further Claim, and ends it with d = 0. A lease belongs to no file, and binds
	// only those who ask for it.
	Claim(ctx context.Context, name, holder string, d time.Duration) (bool, error)
}

var fileName = regexp.MustCompile(`^[A-Za-z0-9_@-][A-Za-z0-9._@-]*(/[A-Za-z0-9_@-][A-Za-z0-9._@-]*)*$`)

// CheckFile returns what [Files] refuses about a name and a content.
func CheckFile(name string, content []byte) error {
	switch {
	case len(name) > 200 || !fileName.MatchString(name) || strings.Contains(name, ".."):
		return fmt.Errorf("%.40q cannot be the name of a shared file", name)
	case len(content) > MaxFileSize:
		return fmt.Errorf("the shared file %s would have %d bytes, and %d is the most", name, len(content), MaxFileSize)
	}
	return nil
}

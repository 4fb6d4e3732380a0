package version

import "testing"

// What `go install` knows of a program is its module's version.
func TestCommitInVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][2]string{
		"v0.0.0-20260504120102-0123456789ab":        {"0123456789ab", "2026-05-04T12:01:02Z"},
		"v1.2.4-0.20260504120102-0123456789ab":      {"0123456789ab", "2026-05-04T12:01:02Z"},
		"v1.2.4-rc.1.0.20260504120102-0123456789ab": {"0123456789ab", "2026-05-04T12:01:02Z"},
		"v1.2.3":                             {},
		"v1.2.3-rc.1":                        {},
		"(devel)":                            {},
		"":                                   {},
		"v0.0.0-20269904120102-0123456789ab": {"0123456789ab", ""},
	} {
		if commit, date := commitIn(version); commit != want[0] || date != want[1] {
			t.Errorf("%s: commit %q of %q, want %q", version, commit, date, want)
		}
	}
}

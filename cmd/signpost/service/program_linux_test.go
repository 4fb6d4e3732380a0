package service

import "testing"

// The program goes on without the pages of its file that it has touched, and has fewer
// then.
func TestForgetProgram(t *testing.T) { // alone: other tests would touch pages at the same time
	before := 0
	for _, m := range programMappings() {
		before += m.resident
	}
	if got := forgetProgram(); before == 0 || got == 0 {
		t.Fatalf("of %d bytes %d were given back", before, got)
	}
	after := 0
	for _, m := range programMappings() {
		after += m.resident
	}
	if after >= before*3/4 {
		t.Errorf("%d bytes of the program are resident, %d were before", after, before)
	}
}

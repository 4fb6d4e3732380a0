package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy"
)

// TestFailed: what a dead node does is evidence against it; what a full or a
// mistaken one does, or the listener, is not.
func TestFailed(t *testing.T) {
	t.Parallel()
	var all []proxy.Failure
	for _, why := range []proxy.Why{
		proxy.WhyURL, proxy.WhyConnect, proxy.WhyTimeout, proxy.WhyHeader, proxy.WhyFull, proxy.WhyStatus,
		proxy.WhyRedirect, proxy.WhyNotAudio, proxy.WhyMetadata, proxy.WhyEnded,
	} {
		all = append(all, proxy.Failure{Node: director.NodeID(why), Why: why})
	}
	if diff := cmp.Diff([]director.NodeID{"connect", "timeout", "ended"}, failed(proxy.Result{Failed: all})); diff != "" {
		t.Errorf("before the first byte (-want +got):\n%s", diff)
	}
	var ends []proxy.End
	for _, end := range proxy.Ends() {
		if len(failed(proxy.Result{Node: "n", End: end})) > 0 {
			ends = append(ends, end)
		}
	}
	if diff := cmp.Diff([]proxy.End{proxy.EndUpstreamEnded, proxy.EndUpstreamSilent, proxy.EndUpstreamFailed}, ends); diff != "" {
		t.Errorf("in mid-stream (-want +got):\n%s", diff)
	}
}

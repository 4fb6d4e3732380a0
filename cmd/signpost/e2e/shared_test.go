package e2e

import (
	"testing"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// TestNodesPlayOn has what becomes of directors and of Redis while nodes play on and nobody
// listens: these tests share one fleet.
func TestNodesPlayOn(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	for name, test := range map[string]func(*testing.T, []*probetest.Node){
		"RedisInTrouble":               redisInTrouble,
		"RedisFailsOver":               redisFailsOver,
		"RedisIsNotOnTheWay":           redisIsNotOnTheWay,
		"StartWithoutRedis":            startWithoutRedis,
		"DrainedNodeGetsNoNewListener": drainedNodeGetsNoNewListener,
		"ReadmeAnswers":                readmeAnswers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fleet)
		})
	}
}

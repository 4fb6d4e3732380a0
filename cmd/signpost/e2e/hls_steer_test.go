package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// defaultTTL is after how long players are asked to come back, where nothing is configured.
	defaultTTL = 10 * time.Second
	// segment is how long the segments of encodeVariants are.
	segment = 2 * time.Second
	// listed is how many of them playlists list.
	listed = 10
	// roomy is how far behind the live edge the small tests play: a machine that does much else
	// may stand still for some seconds.
	roomy = 14
)

// webKinds are the players of web pages, and what they play.
var webKinds = map[string]string{
	"hls.js":       "/live.m3u8",
	"video.js":     "/live.m3u8",
	"shaka-player": "/live.m3u8",
	"dashjs":       "/live.mpd",
}

// unsteered is a player that does not ask where to go on, as many devices do not.
const unsteered = "hls.js without steering"

// A steeredFleet is three nodes with one encoder, a director before them, and players.
type steeredFleet struct {
	*signpost
	text  string // its configuration
	stage *stage
	nodes []*hlsOrigin
}

// startSteered starts a fleet, and opens a stage for its players.
func startSteered(t *testing.T) *steeredFleet {
	t.Helper()
	s := openStage(t) // or there is nothing to do
	f := startSteeredNodes(t, "")
	f.stage = s
	return f
}

func startSteeredNodes(t *testing.T, rest string) *steeredFleet {
	t.Helper()
	f := &steeredFleet{}
	encoder := encodeVariants(t)
	hold := 0
	if !soak {
		rest, hold = rest+"hls: {ttl: 5s}\n", roomy
	}
	config := strings.Replace(configuration(nil, ""), "mounts: [{name: /live.mp3, title: Live}]", "mounts: [/live.m3u8, /live.mpd]", 1)
	for i := range 3 {
		n := encoder.origin(t, fmt.Sprintf("127.0.0.%d", 33+i), hold)
		f.nodes = append(f.nodes, n)
		config += fmt.Sprintf("  - {id: n%d, urls: ['%s'], kind: hls}\n", i+1, n.url)
	}
	f.text = config + rest
	f.signpost = directFile(t, f.text)
	f.eventually(patience, "all nodes play both mounts", func() bool { return f.pathways("/live.m3u8") == 3 && f.pathways("/live.mpd") == 3 })
	f.eventually(patience, "there is enough to begin with", func() bool {
		text, err := os.ReadFile(filepath.Join(encoder.dir, "0", "audio.m3u8"))
		return err == nil && bytes.Count(text, []byte("#EXTINF")) == listed
	})
	return f
}

// pathways returns from how many nodes a mount's playlist says that it can be had.
func (f *steeredFleet) pathways(path string) (n int) {
	text := f.body(path)
	for _, o := range f.nodes {
		if strings.Contains(text, o.url+"/") {
			n++
		}
	}
	return n
}

// operate is what an operator does with a node: "drain", "resume".
func (f *steeredFleet) operate(what string, node int) {
	f.t.Helper()
	resp, err := http.Post(fmt.Sprintf("%s/api/v1/nodes/n%d/%s", f.admin, node+1, what), "application/json", strings.NewReader("{}"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		f.t.Fatalf("%s n%d: %s", what, node+1, resp.Status)
	}
}

// run runs a command for operators.
func (f *steeredFleet) run(args ...string) {
	f.t.Helper()
	if out, err := exec.Command(program(f.t), append(args, "--server", f.admin)...).CombinedOutput(); err != nil {
		f.t.Fatalf("signpost %q: %v\n%s", args, err, out)
	}
}

// at returns how many of the sessions that a condition picks play from each node.
func (f *steeredFleet) at(all []session, of func(session) bool) []int {
	n := make([]int, len(f.nodes))
	for _, one := range all {
		if i := f.node(one); i >= 0 && of(one) {
			n[i]++
		}
	}
	return n
}

// node returns the node that a session plays from, or -1.
func (f *steeredFleet) node(one session) int {
	return slices.IndexFunc(f.nodes, func(o *hlsOrigin) bool { return o.url == "http://"+one.Node })
}

func steers(one session) bool { return one.Player != unsteered }

// busiest returns the node with most sessions that are steered.
func (f *steeredFleet) busiest() int {
	n := f.at(f.stage.sessions(), steers)
	return slices.Index(n, slices.Max(n))
}

// goOn waits until all sessions have played some seconds more, and fails for stalls of more
// than most since the time that since names, on a machine that does nothing else.
func (f *steeredFleet) goOn(what string, since time.Time, most time.Duration) {
	f.t.Helper()
	if !soak {
		most += 5 * segment // beside other tests the machine may stand still
	}
	before := f.stage.sessions()
	for i, one := range before {
		before[i].Time = one.Time + 3*segment.Seconds()
	}
	f.stage.until(patience, "all play on after "+what, func(one session) bool { return one.Time >= before[one.Index].Time })
	least := map[string]float64{}
	for _, one := range f.stage.sessions() {
		if low, ok := least[one.Player]; !ok || one.Low < low {
			least[one.Player] = math.Round(10*one.Low) / 10
		}
		if soak && most == 0 && one.Low <= 0 {
			f.t.Errorf("%s had nothing left in its buffer after %s: %+v", one.Player, what, one)
		}
		for _, s := range one.Stalls {
			if s.At >= float64(since.UnixMilli()) && s.Seconds > most.Seconds() {
				f.t.Errorf("%s stalls for %.1f s after %s: %+v", one.Player, s.Seconds, what, one)
			}
		}
	}
	f.t.Logf("%s: %v s were left in the buffers at the least, %v sessions at the nodes", what, least, f.at(f.stage.sessions(), func(session) bool { return true }))
}

// Listeners who play in web pages leave a node that is drained, and hear nothing of it; they
// play on when a node dies; and so does a player that does not ask where to go on.
func TestHLSPlayersMove(t *testing.T) {
	t.Parallel()
	f := startSteered(t)
	each := sized(1, 10)
	for kind, path := range webKinds {
		f.stage.play(kind, f.url+path, each)
	}
	f.stage.play(unsteered, f.url+"/live.m3u8", sized(1, 3))
	f.stage.until(patience, "all play", func(one session) bool { return one.Begun })
	t.Logf("%v sessions at the nodes", f.at(f.stage.sessions(), steers))

	drained := f.busiest()
	at := time.Now()
	f.operate("drain", drained)
	f.stage.until(patience, "all have left the drained node", func(one session) bool { return !steers(one) || f.node(one) != drained })
	last := 0.0
	for _, one := range f.stage.sessions() {
		if steers(one) && len(one.Moves) > 1 {
			last = max(last, one.Moves[len(one.Moves)-1].At)
		}
	}
	took := time.UnixMilli(int64(last)).Sub(at)
	t.Logf("the last left the drained node after %v", took)
	atMost(t, defaultTTL+segment, "all have left the drained node", took)
	f.goOn("a drain", at, 0)

	f.operate("resume", drained)
	dead := f.busiest()
	at = time.Now()
	f.nodes[dead].kill()
	f.stage.until(patience, "all play from others than the dead node", func(one session) bool { return f.node(one) != dead })
	t.Logf("the last left the dead node after %v", time.Since(at))
	f.goOn("a node's death", at, segment)
	f.eventually(patience, "no new session sees the dead node", func() bool { return f.pathways("/live.m3u8") == 2 && f.pathways("/live.mpd") == 2 })

	// Those that are not steered may have been elsewhere.
	for _, one := range f.stage.sessions() {
		if i := f.node(one); !steers(one) {
			at = time.Now()
			f.nodes[i].kill()
			f.stage.until(patience, "all play from the node that is left", func(one session) bool { return f.node(one) != i })
			f.goOn("the death of a node of those that are not steered", at, segment)
			break
		}
	}
}

// spread says whether each node's share of the sessions is within 2 % of all of what is wanted.
func spread(got, want map[string]float64) bool {
	for node, share := range want {
		if math.Abs(got[node]-share) > 0.02 {
			return false
		}
	}
	return true
}

// Weights move sessions that are playing, no more than they must, and an undo brings back
// those that had to go.
func TestHLSWeightsMoveSessions(t *testing.T) {
	if !soak {
		t.Skip("needs a minute for each change: run it with SIGNPOST_SOAK=1")
	}
	// Sessions are placed by chance. Of 1000, the share of a node is off by 1.5 % (one standard
	// deviation) for that alone; of so many, by 0.5 %.
	const sessions = 8000
	f := startSteeredNodes(t, everyone)
	a := attend(t, f.url+"/live.m3u8", sessions)
	third := map[string]float64{"n1": 1. / 3, "n2": 1. / 3, "n3": 1. / 3}
	half := map[string]float64{"n1": 0.5, "n2": 0.25, "n3": 0.25}
	f.eventually(patience, "all have come, and are spread by equal weights", func() bool { return a.asked.Load() >= 2*sessions && spread(a.shares(), third) })
	t.Logf("begin: %.3v", a.shares())
	begun := a.pathways()
	<-time.After(time.Minute) // nobody moves twice within one
	before, _ := a.moves()

	f.run("weights", "set", "all", "n1=2", "n2=1", "n3=1")
	took := f.eventually(2*time.Minute, "the sessions are where the weights want them", func() bool { return spread(a.shares(), half) })
	<-time.After(time.Minute)
	moved, _ := a.moves()
	t.Logf("after %v: %.3v; %d sessions moved", took.Round(time.Second), a.shares(), moved-before)
	if moved-before > sessions/6+sessions/25 || !spread(a.shares(), half) {
		t.Errorf("%d sessions moved, where %d must, and they are at %.3v", moved-before, sessions/6, a.shares())
	}
	f.run("undo", "1")
	took = f.eventually(2*time.Minute, "the sessions are back", func() bool { return spread(a.shares(), third) })
	same := 0
	for i, pathway := range a.pathways() {
		if pathway == begun[i] {
			same++
		}
	}
	t.Logf("after %v: %.3v; %d are where they began", took.Round(time.Second), a.shares(), same)
	if same < sessions*95/100 {
		t.Errorf("%d of %d sessions are where they were before the change that was undone", same, sessions)
	}
	if _, shortest := a.moves(); shortest < 55*time.Second {
		t.Errorf("a session moved twice within %v", shortest)
	}
}

// A director that restarts under players that ask without pause while it is away is back
// soon, and listeners are served by another one meanwhile.
func TestHLSPlayersMeetARestart(t *testing.T) {
	if !soak {
		t.Skip("needs a quiet machine: run it with SIGNPOST_SOAK=1")
	}
	f := startSteeredNodes(t, everyone)
	other := &steeredFleet{signpost: directFile(t, f.text), nodes: f.nodes}
	other.eventually(patience, "the other director knows all nodes", func() bool { return other.pathways("/live.m3u8") == 3 })
	again := strings.Replace(f.text, "http: ['127.0.0.1:0']", "http: ['"+strings.TrimPrefix(f.url, "http://")+"']", 1)
	const sessions = 300
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: sessions}}
	defer client.CloseIdleConnections()
	all := make([]*scriptedSession, sessions)
	for i := range all {
		all[i] = new(scriptedSession)
		if err := all[i].ask(t.Context(), client, f.url+"/live.m3u8", fmt.Sprintf("203.%d.%d.7", i/250, i%250)); err != nil {
			t.Fatal(err)
		}
	}
	f.kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	var tries, answered atomic.Int64
	for i, s := range all { // as VHS does
		wg.Go(func() {
			for ctx.Err() == nil {
				tries.Add(1)
				if s.ask(ctx, client, "", fmt.Sprintf("203.%d.%d.7", i/250, i%250)) == nil {
					answered.Add(1)
					return
				}
			}
		})
	}
	for range 20 { // listeners, meanwhile
		if n := other.pathways("/live.m3u8"); n != 3 {
			t.Errorf("the other director offers %d nodes", n)
		}
	}
	begin := time.Now()
	back := directFile(t, again)
	ready := time.Since(begin)
	back.eventually(patience, "all are answered", func() bool { return answered.Load() == sessions })
	took := time.Since(begin)
	wg.Wait()
	t.Logf("ready after %v, all %d sessions were answered after %v; they had asked %d times", ready.Round(time.Millisecond), sessions, took.Round(time.Millisecond), tries.Load())
	atMost(t, 2*time.Second, "the director is back", took)
}

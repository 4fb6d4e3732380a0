package azuracast

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// Times of AzuraCast's interface, from its public source (as of August 2026): its own
// relays report every 15 s, and one that was silent for 90 s is forgotten.
const (
	reportEvery = 15 * time.Second
	// startEvery is how often it is looked for the first snapshot.
	startEvery = 250 * time.Millisecond
	// lookEvery is how often it is asked for its stations and mounts, which rarely change.
	lookEvery = time.Minute
	// lease is how long one director of a fleet is the one that reports. Another takes
	// over before AzuraCast forgets.
	lease = 40 * time.Second
)

// Config configures a Relay.
type Config struct {
	Client
	// BaseURL is the directors' URL as listeners see it. AzuraCast makes the URLs of its
	// mounts at this relay of it, and knows the relay by it: all directors of a fleet have
	// the same.
	BaseURL string
	Name    string // on AzuraCast's pages
	Hidden  bool   // it is not shown on AzuraCast's public pages

	// Snapshot returns what is known of the fleet; nil: nothing yet, which ends once.
	Snapshot func() *director.Snapshot
	// Claim asks for the lease to be the director that reports, and with 0 ends it. Nil:
	// there are no others.
	Claim func(ctx context.Context, d time.Duration) (bool, error)
	Log   *slog.Logger
}

// A Relay tells an AzuraCast of the fleet, as if it were one of its relays: the directors'
// URL, and who listens to what at nodes that are not the AzuraCast's own. Nothing waits for
// it. Its methods are safe for concurrent use.
type Relay struct {
	cfg Config

	mu       sync.Mutex
	troubles []Trouble

	stations []Relayed // as the AzuraCast told them at looked; of Run alone
	looked   time.Time
	reported bool
}

// A Trouble is what is wrong now.
type Trouble struct {
	Key, Text, Remedy, Over string
}

// NewRelay returns a Relay that reports once Run is called.
func NewRelay(c Config) *Relay { return &Relay{cfg: c} }

// Troubles returns what is wrong now, as this director knows it. One that does not report
// knows of nothing.
func (r *Relay) Troubles() []Trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.troubles)
}

// Run reports until ctx is done, and then leaves the lease to another director.
func (r *Relay) Run(ctx context.Context) error {
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for known := false; ; {
		switch {
		case known:
			r.report(ctx)
		case r.cfg.Snapshot() != nil:
			known = true
			tick.Reset(reportEvery)
			r.report(ctx)
		}
		select {
		case <-ctx.Done():
			if r.cfg.Claim != nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_, _ = r.cfg.Claim(ctx, 0) // it ends by itself, too
			}
			return nil
		case <-tick.C:
		}
	}
}

// report reports once, if it is this director's turn. Where the store cannot say whose turn
// it is, every director reports: they are one relay to the AzuraCast, and silence would
// have it forgotten.
func (r *Relay) report(ctx context.Context) {
	snap := r.cfg.Snapshot()
	if r.cfg.Claim != nil {
		mine, err := r.cfg.Claim(ctx, lease)
		if err == nil && !mine {
			r.set(nil)
			return
		}
	}
	err := r.look(ctx)
	if err == nil {
		err = r.cfg.call(ctx, http.MethodPost, relaysPath, r.body(snap), nil)
	}
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		r.set([]Trouble{{
			Key: "azuracast", Text: "the AzuraCast is not told of this fleet: " + wording.Text(err),
			Remedy: "after 90 s it shows the directors' URL no more; listeners are served all the same", Over: "the AzuraCast is told of this fleet again",
		}})
		return
	case !r.reported:
		r.reported = true
		r.cfg.Log.Info("the AzuraCast is told of this fleet", "url", r.cfg.URL, "as", r.cfg.BaseURL, "stations", len(r.stations))
	}
	r.set(r.unserved(snap))
}

func (r *Relay) set(t []Trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles = t
}

// look asks for the stations, if it is time.
func (r *Relay) look(ctx context.Context) error {
	if now := time.Now(); r.stations == nil || now.Sub(r.looked) >= lookEvery {
		stations, err := r.cfg.Relayed(ctx)
		if err != nil {
			return err
		}
		r.stations, r.looked = stations, now
	}
	return nil
}

// The body of a report, as AzuraRelay sends it.
type report struct {
	BaseURL string `json:"base_url"`
	Name    string `json:"name"`
	Visible bool   `json:"is_visible_on_public_pages"`
	// NowPlaying is by station and the mount's path there. A mount that is not in it
	// keeps the number of listeners that was told last.
	NowPlaying map[string]map[string]nowPlaying `json:"nowplaying"`
}

type nowPlaying struct {
	CurrentSong struct {
		Text string `json:"text"`
	} `json:"currentSong"`
	Listeners struct {
		Total  int  `json:"total"`
		Unique *int `json:"unique"` // not known
	} `json:"listeners"`
	Meta struct {
		Online  bool   `json:"online"`
		Bitrate *int   `json:"bitrate"`
		Format  string `json:"format,omitempty"`
	} `json:"meta"`
}

// body makes a report of what is known. A mount whose listeners nobody counts is left out,
// for unknown is not zero.
func (r *Relay) body(snap *director.Snapshot) report {
	out := report{BaseURL: r.cfg.BaseURL, Name: r.cfg.Name, Visible: !r.cfg.Hidden, NowPlaying: map[string]map[string]nowPlaying{}}
	own := r.ownHosts()
	for _, s := range r.stations {
		for _, m := range s.Mounts {
			i, ok := r.find(snap, s, m)
			if !ok {
				continue
			}
			total, online, title, ok := heard(snap, i, own)
			if !ok {
				continue
			}
			var np nowPlaying
			np.CurrentSong.Text, np.Listeners.Total, np.Meta.Online = title, total, online
			if m.Kbit > 0 {
				np.Meta.Bitrate = &m.Kbit
			}
			np.Meta.Format = snap.Mount(i).Type
			id := strconv.Itoa(s.ID)
			if out.NowPlaying[id] == nil {
				out.NowPlaying[id] = map[string]nowPlaying{}
			}
			out.NowPlaying[id][m.Path] = np
		}
	}
	return out
}

// ownHosts are those of the AzuraCast's own servers, which count their listeners by
// themselves.
func (r *Relay) ownHosts() map[string]bool {
	hosts := map[string]bool{hostOf(r.cfg.URL): true}
	for _, s := range r.stations {
		for _, m := range s.Mounts {
			hosts[hostOf(m.URL)] = true
		}
	}
	return hosts
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// heard sums who listens to mount i of the fleet, at the nodes that are up and not the
// AzuraCast's own, and those whom directors carry inline. ok is false if nobody counts them.
func heard(snap *director.Snapshot, i int, own map[string]bool) (total int, online bool, title string, ok bool) {
	name, most := snap.Mount(i).Name, -1
	for n := range snap.Nodes() {
		node := snap.Node(n)
		if slices.ContainsFunc(append(slices.Clone(node.URLs), node.InternalURL), func(u string) bool { return u != "" && own[hostOf(u)] }) || node.Report.Health != director.Up {
			continue
		}
		for k, told := range node.Report.Mounts {
			if node.MountAt(told.Path) != name || told.Listeners < 0 {
				continue
			}
			// Relays' connections are divided evenly, as on the fleet's status page.
			listeners := max(0, told.Listeners-node.Relays*(k+1)/len(node.Report.Mounts)+node.Relays*k/len(node.Report.Mounts))
			total, online, ok = total+listeners, true, true
			if listeners > most && told.Title != "" {
				most, title = listeners, told.Title
			}
		}
	}
	if inline := snap.Uncounted(i); inline != 0 {
		total, ok = max(0, total+inline), true
	}
	return total, online, title, ok
}

// find returns the mount of the fleet that is a station's mount: the one with the path that
// AzuraCast's listeners ask for, or else with the mount's own path, if only one station has it.
func (r *Relay) find(snap *director.Snapshot, s Relayed, m MountInfo) (int, bool) {
	if i, ok := snap.FindMount("/listen/" + s.ShortCode + m.Path); ok {
		return i, true
	}
	for _, o := range r.stations {
		if o.ID != s.ID && slices.ContainsFunc(o.Mounts, func(other MountInfo) bool { return other.Path == m.Path }) {
			return 0, false
		}
	}
	return snap.FindMount(m.Path)
}

// shownURL returns the URL of a mount at this relay that AzuraCast shows: below /listen by
// https, or where its web server passes streams on; else at the station's own port.
func (r *Relay) shownURL(s Relayed, m MountInfo) *url.URL {
	u, err := url.Parse(strings.TrimRight(r.cfg.BaseURL, "/"))
	if err != nil {
		return &url.URL{} // it was checked before
	}
	if own, err := url.Parse(m.URL); u.Scheme == "https" || err == nil && strings.HasPrefix(own.Path, "/listen/"+s.ShortCode+"/") {
		u.Path += "/listen/" + s.ShortCode + m.Path
		return u
	}
	u.Path = m.Path
	if s.Port > 0 {
		u.Host = u.Hostname() + ":" + strconv.Itoa(s.Port)
	}
	return u
}

// unserved says which of the URLs that AzuraCast shows lead to nothing here.
func (r *Relay) unserved(snap *director.Snapshot) []Trouble {
	base, err := url.Parse(r.cfg.BaseURL)
	if err != nil {
		return nil
	}
	missing, elsewhere := map[string]string{}, map[string]bool{}
	for _, s := range r.stations {
		for _, m := range s.Mounts {
			u := r.shownURL(s, m)
			if _, ok := snap.FindMount(strings.TrimPrefix(u.Path, strings.TrimRight(base.Path, "/"))); !ok {
				missing[u.String()] = u.Path
			} else if director.PortOf(u) != director.PortOf(base) {
				elsewhere[cmp.Or(u.Port(), "80")] = true
			}
		}
	}
	var out []Trouble
	if len(missing) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(missing)))
		more := ""
		if len(missing) > 1 {
			more = fmt.Sprintf(" and %d more", len(missing)-1)
		}
		out = append(out, Trouble{
			Key: "azuracast/paths", Text: fmt.Sprintf("the AzuraCast shows %s%s, and no mount here has that path", first, more),
			Remedy: fmt.Sprintf("give the mount the alias %s, or let the key's user have the stations alone that are served here", missing[first]), Over: "all that the AzuraCast shows of this fleet is served",
		})
	}
	if len(elsewhere) > 0 {
		ports := strings.Join(slices.Sorted(maps.Keys(elsewhere)), ", ")
		out = append(out, Trouble{
			Key: "azuracast/port", Text: fmt.Sprintf("the AzuraCast shows this fleet at port %s, where its stations are, and %s has another", ports, r.cfg.BaseURL),
			Remedy: "let the directors listen there too, or give an https URL first under listen.public_urls", Over: "the AzuraCast shows this fleet where it is",
		})
	}
	return out
}

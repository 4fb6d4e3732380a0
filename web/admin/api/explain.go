package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Explanation is the answer of GET /api/v1/explain as its readers see it. Names are text,
// so that those of a newer director can be shown too.
type Explanation struct {
	Client   ClientExplanation
	Mount    string
	Rule     *struct{ Name, Reason string } // nil: none holds
	Escalate string
	Answer   string
	Status   int
	Why      string
	Location string
	Inline   *InlineExplanation // nil: no stream is to be carried
	Move     *MoveExplanation   // nil: it is not a player of HLS or DASH that plays already
	Decision struct {
		Outcome    string
		Region     string
		MatchedBy  string `json:"matched_by"`
		Ladder     []string
		Node       string
		Candidates []Candidate
	}
	Past *Past // of the address at the director that was asked; nil: it remembers none
}

// Past is what a director remembers of an address's requests of the last hour.
type Past struct {
	Since   time.Time // from when on it remembers all
	Records []PastRecord
	More    int // older ones, which are left out
}

// PastRecord is what became of one request, in the names of the requests' log.
type PastRecord struct {
	Time                                 time.Time
	Status                               int
	Path, Answer, Outcome, Fault         string
	Mount, Node, Region, Rule, Step, End string
	Listener                             string // the pseudonym in the requests' log
	UserAgent                            string `json:"user_agent"`
	HTTPS, Begins                        bool
	Seconds                              float64
	Bytes                                int64
}

// What says what became of the request, in an operator's words: "sent to fra1".
func (r PastRecord) What() string {
	switch {
	case r.Fault != "":
		return fmt.Sprintf("refused: %s", r.Fault)
	case r.Begins:
		return "inline from " + cmp.Or(r.Node, "a node") + ", which began then"
	case r.End != "":
		return fmt.Sprintf("inline from %s for %s, until: %s", cmp.Or(r.Node, "a node"), time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), strings.ReplaceAll(r.End, "_", " "))
	case r.Answer == "redirect" && r.Node != "":
		return "sent to " + r.Node
	case r.Answer == "redirect":
		return "sent elsewhere"
	case r.Node != "":
		return fmt.Sprintf("given %s, with %s first", r.Answer, r.Node)
	}
	return cmp.Or(r.Answer, "answered")
}

// MoveExplanation says whether a player of HLS or DASH is moved to another node.
type MoveExplanation struct {
	From, To, Why string
	Rests         bool // it came there less than a minute ago
}

// ClientExplanation is who the listener is taken to be.
type ClientExplanation struct {
	Addr, Taken, Scheme, Place string
	PlacedBy                   string `json:"placed_by"`
}

// InlineExplanation is a stream that is to be sent inline.
type InlineExplanation struct {
	Kbit    int
	Room    bool // the budget has room
	Failing []struct {
		Node, Why, Detail string
		At                time.Time
	}
}

// Candidate is one node in a decision, with the numbers that director.Candidacy
// describes.
type Candidate struct {
	Node, Site, Rung, Reason, Detail string
	Rank                             int
	Weight, Room, Share, Expected    float64
	Km                               *float64 // nil: one of the places is not known
	WarmUp                           float64  `json:"warm_up"`
	Used, Target, Limit              int
	Uncounted                        bool // nobody tells how many listen
	EnRoute                          int  `json:"en_route"`
	Estimated                        int  `json:"en_route_estimated"`
}

// Row returns the row that decided: that of the answer.
func (e *Explanation) Row() string {
	for _, c := range e.Decision.Candidates {
		if c.Rank == 1 {
			return c.Rung
		}
	}
	return ""
}

// Shares returns the shares of the row that decided, which add up to 100.
func (e *Explanation) Shares() []ShareOf {
	var of []director.NodeShare
	for _, c := range e.Decision.Candidates {
		if c.Rung == e.Row() && c.Expected > 0 {
			of = append(of, director.NodeShare{Node: director.NodeID(c.Node), Share: c.Expected})
		}
	}
	slices.SortStableFunc(of, func(a, b director.NodeShare) int { return cmp.Compare(b.Share, a.Share) })
	return WholePercents(of)
}

// Draw says why it is this node of the row: the shares, whose the listener is, and what
// would change that. Empty: nobody was drawn.
func (e *Explanation) Draw() []string {
	var parts []string
	own := ""
	for _, s := range e.Shares() {
		parts = append(parts, fmt.Sprintf("%d %% to %s", s.Percent, s.Node))
		if s.Node == e.Decision.Node {
			own = fmt.Sprintf("this listener is among the %d %% of %s", s.Percent, s.Node)
		}
	}
	if own == "" {
		return nil
	}
	said := []string{fmt.Sprintf("Newcomers of %s go %s: %s.", cmp.Or(e.Row(), "this distance"), strings.Join(parts, ", "), own)}
	for _, c := range e.Decision.Candidates {
		if c.Rank == 2 {
			said = append(said, fmt.Sprintf("It would be %s if %s were drained, down or full, or lost so much of its share that this listener no longer belonged to it.", c.Node, e.Decision.Node))
		}
	}
	return append(said, "The same address, player and mount get the same node at every director while the shares stay as they are.")
}

// ShareOf is a node's share in whole percent.
type ShareOf struct {
	Node    string
	Percent int
}

// WholePercents rounds shares so that they add up to 100: the largest remainders are
// rounded up.
func WholePercents(shares []director.NodeShare) []ShareOf {
	out, left := make([]ShareOf, len(shares)), 100
	byRest := make([]int, len(shares))
	for i, s := range shares {
		out[i] = ShareOf{string(s.Node), int(s.Share * 100)}
		left -= out[i].Percent
		byRest[i] = i
	}
	rest := func(i int) float64 { return shares[i].Share*100 - float64(out[i].Percent) }
	slices.SortStableFunc(byRest, func(a, b int) int { return cmp.Compare(rest(b), rest(a)) })
	for _, i := range byRest[:min(max(0, left), len(byRest))] {
		out[i].Percent++
	}
	return out
}

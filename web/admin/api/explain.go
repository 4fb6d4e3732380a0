package api

import (
	"cmp"
	"fmt"
	"strings"
	"time"
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
		return "carried inline from " + cmp.Or(r.Node, "a node") + ", which began then"
	case r.End != "":
		return fmt.Sprintf("carried inline from %s for %s, until: %s", cmp.Or(r.Node, "a node"), time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), strings.ReplaceAll(r.End, "_", " "))
	case r.Answer == "redirect" && r.Node != "":
		return "sent to " + r.Node
	case r.Answer == "redirect":
		return "sent elsewhere"
	case r.Node != "":
		return fmt.Sprintf("given %s, with %s first", r.Answer, r.Node)
	}
	return cmp.Or(r.Answer, "answered")
}

// ClientExplanation is who the listener is taken to be.
type ClientExplanation struct {
	Addr, Taken, Scheme, Place string
	PlacedBy                   string `json:"placed_by"`
}

// InlineExplanation is a stream that is to be carried inline.
type InlineExplanation struct {
	Kbit    int
	Room    bool // the budget has room
	Failing []struct {
		Node, Why, Detail string
		At                time.Time
	}
}

// Candidate is one node's part in a decision, with the numbers that director.Candidacy
// describes.
type Candidate struct {
	Node, Site, Rung, Reason, Detail string
	Rank                             int
	Weight, Room, Share, Expected    float64
	Km                               *float64 // nil: one of the places is not known
	WarmUp                           float64  `json:"warm_up"`
	Used, Target, Limit              int
	EnRoute                          int `json:"en_route"`
	Estimated                        int `json:"en_route_estimated"`
}

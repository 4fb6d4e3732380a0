package api

import "time"

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

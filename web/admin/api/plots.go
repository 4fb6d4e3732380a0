package api

import "time"

// PlotsAnswer is numbers over time, as this director has sampled them: a value for each
// step, the last one of the step that is under way.
type PlotsAnswer struct {
	By    string    `json:"by"`     // total, node, region or mount: listeners; answer: answers per second of this director
	Span  string    `json:"span"`   // hour, day or week
	Start time.Time `json:"start"`  // of the first step, by the clock of the director's machine
	StepS int       `json:"step_s"` // seconds between two values, which are means
	// Reckoned says that nobody counts these listeners: where they come from is reckoned
	// from whom this director has sent to each node.
	Reckoned bool         `json:"reckoned,omitempty"`
	Series   []PlotSeries `json:"series"`           // the largest first
	Others   int          `json:"others,omitempty"` // how many further series the last one, without a name, sums up
}

// PlotSeries is one line of a plot.
type PlotSeries struct {
	Name   string     `json:"name"`   // of the node, region, mount or answer; empty: all, or the others
	Values []*float64 `json:"values"` // by step; null: not known
}

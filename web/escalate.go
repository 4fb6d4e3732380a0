package web

// Escalate says what happens to a client without a rule that comes back soon after it was
// sent to a node: the redirect may not have worked for it.
type Escalate string

// The settings of the ladder for clients without a rule. Each includes the ones before it.
const (
	EscalateOff     Escalate = "off"     // nothing happens, and nothing is counted
	EscalateObserve Escalate = "observe" // the client is counted in metrics
	EscalateNext    Escalate = "next"    // it gets the next node
	EscalateInline  Escalate = "inline"  // if it comes back again, it gets the stream itself
)

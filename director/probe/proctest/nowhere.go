package proctest

// Nowhere is a URL at which nobody listens: a port that was free just now may be another
// test's a moment later.
const Nowhere = "http://127.0.0.1:1"

//go:build !race

package sim

// raced says that the race detector is linked in.
const raced = false

// Package simulate plays a day of listeners against a configuration with package
// director/sim, and tells what came of it: as tables, as a plot for terminals, and as JSON.
package simulate

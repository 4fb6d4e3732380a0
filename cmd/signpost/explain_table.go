package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// printCandidates prints every node with its numbers, and why it was passed over.
func printCandidates(w io.Writer, all []candidacy) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RANK\tNODE\tRUNG\tREASON\tPART\tWEIGHT\tROOM\tWARM\tUSED\tTARGET\tLIMIT\tKM\tDETAIL")
	for _, c := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f %%\t%g\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%s\n",
			orDash(c.Rank), c.Node, c.Rung, c.Reason, 100*c.Expected, c.Weight, c.Room, c.WarmUp,
			used(c), orDash(c.Target), orDash(c.Limit), orDash(int(c.Km)), c.Detail)
	}
	t.Flush()
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// used is the number of listeners, and how many of them are en route.
func used(c candidacy) string {
	if c.EnRoute == 0 {
		return strconv.Itoa(c.Used)
	}
	return fmt.Sprintf("%d (%d en route)", c.Used, c.EnRoute)
}

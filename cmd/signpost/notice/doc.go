// Package notice makes the file NOTICE and keeps it true: what the program links
// and embeds that others made, and their licences. All of it is a test.
package notice

//go:generate go test -run=TestNotice -update .

// Package web brings HTTP to one decision and back: it finds out who asks for
// which mount, lets [director.Snapshot.Decide] choose, and answers in the form
// that this listener can use: a redirect, a playlist, or the stream carried inline.
//
//	accept -> request -> Plan -> answer
//
// A request is planned once, into a [Plan], and then answered; answering only reads the
// plan. Nothing waits for anything outside the process, except carrying a stream.
// Handlers return errors, and one place ([Server.refuse]) turns them into answers.
// [Server.Explain] makes the same plan in a dry run and puts it into words.
package web

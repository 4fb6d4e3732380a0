// Package web brings HTTP to one decision and back: it finds out who asks for
// which mount, lets [director.Snapshot.Decide] choose, and answers in the form
// that this listener can use: a redirect, a playlist, or the stream carried inline.
//
//	request -> client address -> mount and format -> rate limits -> client rule -> Decide -> answer
//
// Nothing on this way waits for anything outside the process, but for carrying a
// stream. Handlers return errors, and one place turns them into answers.
// [Server.Explain] goes the same way without counting.
package web

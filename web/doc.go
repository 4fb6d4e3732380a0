// Package web answers listeners over HTTP. It finds out who asks for which mount, lets
// [director.Snapshot.Decide] choose the nodes, and answers in the form that this listener
// can use: a redirect, a playlist, or the stream carried inline.
//
//	accept -> request -> Plan -> answer
//
// A request is planned once, into a [Plan], and then answered; answering only reads the
// plan. Only carrying a stream waits for anything outside the process. Handlers return
// errors, and only [Server.refuse] turns errors into responses. [Server.Explain] makes the
// same plan in a dry run and puts it into words.
package web

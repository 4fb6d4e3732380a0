// Package client has the operators' commands: they ask a running director, and change
// what it does, by the API of its operators' side. They print what a director
// answers, and compute nothing themselves.
package client

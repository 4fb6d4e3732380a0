// Package e2e tests the built program: real Icecast servers behind it, real
// players in front of it.
package e2e

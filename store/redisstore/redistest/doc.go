// Package redistest runs real Redis servers for tests: single ones, a trio of
// Sentinels with a master and a replica, and a Cluster of three masters. They
// listen on loopback, keep their files in a directory of their own, and end with
// the test, even if the test program is killed.
package redistest

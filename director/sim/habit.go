package sim

import "time"

// Retry is where a player turns by itself when its stream ends or does not begin.
type Retry uint8

// The values of Retry.
const (
	RetryNobody   Retry = iota // it stops; a person has to press play again
	RetryNode                  // the node's URL
	RetryDirector              // the URL that it was given, at the director
	RetryNext                  // the next entry of its playlist, and the director after the last
)

// A Habit is what a kind of player does, and the person before it.
type Habit struct {
	Name  string
	Part  float64 // of all listeners; the parts need not add up to 1
	Retry Retry
	After time.Duration // the pause before it retries, and up to half as much more
	Tries int           // how often it retries in a row before it stops; 0: once
	// Opens is how often it asks the director for one play, as xine and cmus do twice;
	// 0: once. NodeOpens is the same at the node, as with VLC.
	Opens, NodeOpens int
	Entries          int // of the playlist that it asks for; 0: it asks for the stream
	Relay            bool
	// Patience is how long it waits for audio, or the person who hears none does; default
	// 10 s. Returns is the part 0..1 of people who press play again after that, within some
	// 5 to 30 s, and up to three times.
	Patience time.Duration
	Returns  float64
}

// Players returns the habits that were measured with real players, in parts that are a guess:
// nobody counts players of the world's stations. Most never come back to the director,
// some ask their node again, few the director.
func Players() []Habit {
	return []Habit{
		{Name: "apps that stop", Part: 45, Retry: RetryNobody, Returns: 0.8},
		{Name: "browsers", Part: 25, Retry: RetryNode, After: time.Second, Tries: 3, Returns: 0.8},
		{Name: "vlc", Part: 8, Retry: RetryNode, After: 200 * time.Millisecond, NodeOpens: 2, Returns: 0.8},
		{Name: "playlists", Part: 10, Retry: RetryNext, After: 2 * time.Second, Entries: 3, Tries: 3, Returns: 0.8},
		{Name: "xine and cmus", Part: 2, Retry: RetryNobody, Opens: 2, Returns: 0.8},
		{Name: "liquidsoap and streamripper", Part: 5, Retry: RetryDirector, After: time.Second, Tries: 1000, Patience: 5 * time.Second},
		{Name: "mobile apps that reconnect", Part: 4, Retry: RetryDirector, After: 3 * time.Second, Tries: 10, Returns: 0.8},
		{Name: "loops", Part: 1, Retry: RetryDirector, After: 300 * time.Millisecond, Tries: 20, Patience: 2 * time.Second},
	}
}

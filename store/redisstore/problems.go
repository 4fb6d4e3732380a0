package redisstore

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// problems are the details of problems by key.
type problems map[string]string

// problemList keeps what is wrong, and logs when that changes. It is safe for
// concurrent use.
type problemList struct {
	log *slog.Logger

	mu  sync.Mutex
	all map[string]store.Problem // by the key in Redis, followed by the field if there is one
}

// set replaces the problems of one kind by those in found. of says whether a key
// belongs to that kind.
func (l *problemList) set(found problems, of func(key string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, p := range l.all {
		if _, still := found[key]; !still && of(key) {
			delete(l.all, key)
			l.log.Info("data in Redis is as it should be again", "key", key, "was", p.Detail)
		}
	}
	for key, detail := range found {
		if have, ok := l.all[key]; ok && have.Detail == detail {
			continue
		}
		l.all[key] = store.Problem{Key: key, Detail: detail, Since: time.Now()}
		l.log.Warn("data in Redis is not as it should be, and is ignored", "key", key, "detail", detail)
	}
}

func (l *problemList) list() []store.Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.all), func(a, b store.Problem) int { return cmp.Compare(a.Key, b.Key) })
}

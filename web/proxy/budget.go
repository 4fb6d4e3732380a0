package proxy

import "sync"

// defaultKbit is reckoned for a stream whose bitrate nobody told.
const defaultKbit = 128

// Usage is how much of the inline budget is taken. A maximum of 0 is no bound.
type Usage struct {
	Listeners, MaxListeners int
	Kbit                    int // kbit/s, as declared for each stream
	MaxMbit                 float64
}

// budget bounds what is carried at once. Both numbers are taken together or not
// at all, hence a lock and not two atomics.
type budget struct {
	maxListeners int
	maxMbit      float64

	mu        sync.Mutex
	listeners int
	kbit      int
	closed    bool
}

// take claims room for one stream and calls claimed while no close can come
// between. The claim is given back with release.
func (b *budget) take(kbit int, claimed func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrDraining
	case !b.fits(kbit):
		return ErrNoRoom
	}
	b.listeners++
	b.kbit += kbit
	claimed()
	return nil
}

func (b *budget) release(kbit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listeners--
	b.kbit -= kbit
}

func (b *budget) fits(kbit int) bool {
	return (b.maxListeners == 0 || b.listeners < b.maxListeners) &&
		(b.maxMbit == 0 || float64(b.kbit+kbit) <= b.maxMbit*1000)
}

func (b *budget) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// Room reports whether a stream of kbit kbit/s (0: 128) would be carried now.
// It claims nothing: Serve may still return ErrNoRoom.
func (p *Proxy) Room(kbit int) bool {
	b := &p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.closed && b.fits(orKbit(kbit))
}

// Usage returns what is carried now.
func (p *Proxy) Usage() Usage {
	b := &p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return Usage{Listeners: b.listeners, MaxListeners: b.maxListeners, Kbit: b.kbit, MaxMbit: b.maxMbit}
}

func orKbit(kbit int) int {
	if kbit <= 0 {
		return defaultKbit
	}
	return kbit
}

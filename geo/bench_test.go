package geo_test

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
)

// BenchmarkLocate looks up 65,536 public addresses in turn, half of them IPv6.
// SIGNPOST_BENCH_MMDB names a database to measure beside the embedded one.
func BenchmarkLocate(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { benchLocate(b, geo.Config{}) })
	b.Run("file", func(b *testing.B) {
		path := os.Getenv("SIGNPOST_BENCH_MMDB")
		if path == "" {
			b.Skip("SIGNPOST_BENCH_MMDB names no database")
		}
		benchLocate(b, geo.Config{Databases: []string{path}})
	})
}

func benchLocate(b *testing.B, c geo.Config) {
	before := heap()
	begun := time.Now()
	l, err := geo.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Since(begun)
	index := heap() - before

	for _, family := range []struct {
		name    string
		address func(*rand.Rand) netip.Addr
	}{{"IPv4", random4}, {"IPv6", random6}} {
		b.Run(family.name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			addresses := make([]netip.Addr, 1<<16)
			for i := range addresses {
				for addresses[i] = family.address(random); l.Locate(addresses[i]) == (director.Place{}); {
					addresses[i] = family.address(random)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			used := cpu()
			for i := range b.N {
				sink = l.Locate(addresses[i&(1<<16-1)])
			}
			b.ReportMetric(float64(cpu()-used)/float64(b.N), "cpu-ns/op") // what a busy machine does not stretch
			b.ReportMetric(opened.Seconds()*1e3, "ms-to-open")
			b.ReportMetric(float64(index)/(1<<20), "MiB-index")
		})
	}
}

var sink director.Place

// cpu is how much processor time this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func random4(r *rand.Rand) netip.Addr {
	v := r.Uint32()
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// random6 returns an address in one of the blocks that registries give out.
func random6(r *rand.Rand) netip.Addr {
	blocks := [...][2]byte{{0x20, 0x01}, {0x24, 0x00}, {0x26, 0x00}, {0x28, 0x04}, {0x2a, 0x00}, {0x2c, 0x0f}}
	b := blocks[r.IntN(len(blocks))]
	var a [16]byte
	for i := range a {
		a[i] = byte(r.Uint32())
	}
	a[0], a[1] = b[0], b[1]+a[1]&0x0f
	return netip.AddrFrom16(a)
}

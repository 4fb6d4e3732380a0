package audio

import "testing"

func BenchmarkSplitter(b *testing.B) {
	for _, i := range []int{0, 8, 11, 14, 15} {
		enc := encodings[i]
		b.Run(name(enc.args), func(b *testing.B) {
			data := sample(b, enc.args)
			s := NewSplitter("")
			units := 0
			count := func(Unit) { units++ }
			s.Write(data, count)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				for rest := data; len(rest) > 0; {
					n := min(len(rest), 1460)
					s.Write(rest[:n], count)
					rest = rest[n:]
				}
			}
			if s.opaque || units < b.N {
				b.Fatal("nothing was found")
			}
		})
	}
	b.Run("junk", func(b *testing.B) {
		data := make([]byte, search-1)
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		s := NewSplitter("")
		for b.Loop() {
			s.buf, s.at = s.buf[:0], 0
			s.Write(data, func(Unit) {})
		}
	})
}

func BenchmarkDeinterleaver(b *testing.B) {
	data := interleave(16000, 1460, make([]byte, 1<<20), []string{"StreamTitle='One';", "StreamTitle='Two';"})
	d := NewDeinterleaver(16000)
	audio, meta := func([]byte) {}, func([]byte) {}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		*d = Deinterleaver{metaint: 16000, left: 16000, block: d.block}
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1460)
			if err := d.Write(rest[:n], audio, meta); err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	units := split(NewSplitter(""), sample(b, joinable[0].args))
	var before [][]byte
	for _, u := range units[36:40] {
		before = append(before, u.Data)
	}
	b.ReportAllocs()
	for b.Loop() {
		Join(before, units[40].Data)
	}
}

package audio

import (
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"
)

// joinable are encodings whose frames lean on those before.
var joinable = []string{
	"-c:a libmp3lame -b:a 128k -f mp3",
	"-c:a libmp3lame -b:a 128k -joint_stereo 0 -f mp3",
	"-c:a libmp3lame -b:a 192k -f mp3",
	"-c:a libmp3lame -b:a 256k -f mp3",
	"-c:a libmp3lame -b:a 320k -f mp3",
	"-c:a libmp3lame -q:a 4 -ar 48000 -f mp3",
	"-c:a libmp3lame -b:a 64k -ac 1 -f mp3",
	"-c:a libmp3lame -b:a 32k -ar 32000 -f mp3",
	"-c:a libmp3lame -b:a 48k -ar 22050 -f mp3",
	"-c:a libmp3lame -b:a 160k -ar 22050 -f mp3",
	"-c:a libmp3lame -b:a 16k -ar 11025 -ac 1 -f mp3",
	"-c:a libshine -b:a 128k -f mp3",
	"-c:a libtwolame -b:a 128k -error_protection 1 -f mp2",
	"-c:a aac -b:a 96k -f adts",
}

func TestMeasure(t *testing.T) {
	for _, args := range joinable {
		units := split(NewSplitter(""), sample(t, args))
		rate, ch := units[0].Params.Rate, units[0].Params.Channels
		n := len(units)
		type res struct{ errs, zero int; peak float64; ms float64 }
		ways := map[string]*res{"byte": {}, "boundary": {}, "silenced4": {}, "Join": {}}
		tries := 0
		for cut := n / 3; cut < n*2/3; cut += 3 {
			from := n*2/3 - (cut-n/3)/2 + 1
			if from+8 > n { continue }
			tries++
			old := joined(units[:cut])
			rest := joined(units[from:])
			var before [][]byte
			for _, u := range units[max(0,from-16):from] { before = append(before, u.Data) }
			var prim []byte
			for _, f := range before[len(before)-4:] { prim = appendSilenced(prim, f) }
			j := append(append([]byte(nil), Join(before, units[from].Data)...), joined(units[from+1:])...)
			for way, data := range map[string][]byte{
				"byte": append(append([]byte(nil), old...), rest[len(units[from].Data)*2/3:]...),
				"boundary": append(append([]byte(nil), old...), rest...),
				"silenced4": append(append(append([]byte(nil), old...), prim...), rest...),
				"Join": append(append([]byte(nil), old...), j...),
			} {
				pcm, errs := decode(t, data, rate, ch)
				r := ways[way]
				r.errs += errs
				spf := int(float64(units[0].Duration.Seconds())*float64(rate)+.5) * ch
				a := (cut-1)*spf; b := min(len(pcm), (cut+9)*spf)
				p := 0.0
				for _, v := range pcm[a:b] { p = max(p, math.Abs(v)) }
				r.peak = max(r.peak, p)
				// silence in ms windows
				w := rate/1000*ch
				for i := a; i+w < b; i += w { e := 0.0; for _, v := range pcm[i:i+w] { e += v*v }; if math.Sqrt(e/float64(w)) < 0.01 { r.ms++ } }
			}
		}
		pcm, e0 := decode(t, joined(units), rate, ch)
		p0 := 0.0
		for _, v := range pcm { p0 = max(p0, math.Abs(v)) }
		out := fmt.Sprintf("%-55s tries %d straight: errs %d peak %.2f", args, tries, e0, p0)
		for _, w := range []string{"byte", "boundary", "silenced4", "Join"} { r := ways[w]; out += fmt.Sprintf(" | %s errs %.1f peak %.2f silent %.0fms", w, float64(r.errs)/float64(tries), r.peak/p0, r.ms/float64(tries)) }
		t.Log(out)
	}
}

func decode(t *testing.T, data []byte, rate, ch int) ([]float64, int) {
	cmd := exec.Command("ffmpeg", strings.Fields(fmt.Sprintf("-hide_banner -v warning -i - -f f32le -ar %d -ac %d -", rate, ch))...)
	cmd.Stdin = strings.NewReader(string(data))
	var er strings.Builder
	cmd.Stderr = &er
	out, err := cmd.Output()
	if err != nil { t.Fatal(err, er.String()) }
	pcm := make([]float64, len(out)/4)
	for i := range pcm { pcm[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:]))) }
	n := 0
	for _, l := range strings.Split(er.String(), "\n") { if strings.TrimSpace(l) != "" && !strings.Contains(l, "Estimating duration") { n++ } }
	return pcm, n
}

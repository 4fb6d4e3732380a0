#!/usr/bin/env bash
# Makes the demo's three loops, loop*.mp3, from the notes below. It needs ffmpeg
# with libmp3lame, as Debian's package has it.
#
# The tunes are ours: four bars of I, VI, IV, V each, told apart at once by key,
# instrument and tempo. A note's time is taken modulo the loop's length, so that it
# rings across the end. The loop is a whole number of frames long; it is encoded
# several times in a row, without a bit reservoir, and one round is cut out of the
# middle: its first frame follows its last, and a listener may begin at any.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d); trap 'rm -r "$work"' EXIT
rate=24000 frame=576 frame_bytes=96 # MPEG-2 Layer III, mono, 32 kbit/s: 24 ms a frame
rounds=5

# tune NAME TONIC_HZ TEMPO OVERTONES ATTACK FADE RELEASE writes one line: the loop's
# length in samples, and the sound as an expression of ffmpeg's aevalsrc. OVERTONES
# are amplitudes from the fundamental on; ATTACK is in seconds until a note is
# loudest, FADE until it has fallen to 1/e (0: it is held), RELEASE from the end of a
# held note to silence.
tune() {
	awk -v name="$1" -v hz="$2" -v tempo="$3" -v overtones="$4" -v attack="$5" -v fade="$6" -v release="$7" -v rate=$rate -v frame=$frame '
	function note(beat, beats, semitones, level,    f, gain, wave, h) {
		f = hz * 2 ^ (semitones / 12)
		gain = "min(1,ld(0)/" attack ")"
		gain = gain (fade > 0 ? "*exp(-ld(0)/" fade ")" : "*clip(1-(ld(0)-" beats * beat_s ")/" release ",0,1)")
		for (h = 1; h <= harmonics; h++)
			if (o[h] > 0) wave = wave "+" o[h] "*sin(" 2 * PI * h * f "*ld(0))"
		sound = sound "+0*st(0,mod(n+" length_ - int((bar * 4 + beat) * beat_s * rate) "," length_ ")/" rate ")+" level "*" gain "*(" substr(wave, 2) ")"
	}
	BEGIN {
		CONVFMT = OFMT = "%.10g"; PI = atan2(0, -1)
		harmonics = split(overtones, o, " ")
		length_ = int(16 * 60 / tempo * rate / frame + 0.5) * frame
		beat_s = length_ / 16 / rate
		# The tonic hums through the tune, tuned by less than 0.1 Hz to whole periods.
		sound = "0.6*sin(" 2 * PI * int(hz * length_ / rate + 0.5) / length_ "*n)"
		split("0 -3 5 2", root, " "); split("4 0 9 7", third, " "); split("7 4 12 11", fifth, " ")
		for (bar = 0; bar < 4; bar++) {
			a = root[bar + 1]; b = third[bar + 1]; c = fifth[bar + 1]
			if (name == "harp") { # up and down the chord in quavers
				n = split(a - 12 " " b " " c " " a + 12 " " b + 12 " " a + 12 " " c " " b, p, " ")
				for (i = 1; i <= n; i++) note((i - 1) / 2, 0.5, p[i], 1)
			}
			if (name == "organ") { # the chord is held, and one voice moves above it
				note(0, 4, a, 0.4); note(0, 4, b, 0.4); note(0, 4, c, 0.4)
				note(0, 2, c + 12, 0.5); note(2, 1, b + 12, 0.5); note(3, 1, c + 12, 0.5)
			}
			if (name == "bells") { # downwards, with a rest at the end of the bar
				n = split(c + 12 " " b + 12 " " a + 12 " " c " " b + 12 " " c, p, " ")
				for (i = 1; i <= n; i++) note((i - 1) / 2, 0.5, p[i], 1)
			}
		}
		print length_, sound
	}'
}

run() { ffmpeg -hide_banner -nostdin -y "$@"; }
pcm() { run -v error -f f32le -ar $rate -ac 1 "$@"; }

# loop NAME ... encodes the tune with these arguments.
loop() {
	read -r length sound < <(tune "$@")
	run -v error -f lavfi -i "aevalsrc=exprs=${sound//,/\\,}:s=$rate:d=$((length / rate + 1))" -f f32le "$work/long"
	head -c $((4 * length)) "$work/long" >"$work/pcm"
	peak=$(pcm -i "$work/pcm" -af astats=measure_perchannel=none -f null - -v info 2>&1 | sed -n 's/.*Peak level dB: //p')
	pcm -stream_loop $((rounds - 1)) -i "$work/pcm" -af "volume=-3dB,volume=$(awk -v p="$peak" 'BEGIN { print -p }')dB" \
		-c:a libmp3lame -b:a 32k -reservoir 0 -compression_level 0 -write_xing 0 -id3v2_version 0 -f mp3 "$work/mp3"
	bytes=$((length / frame * frame_bytes))
	head -c $(((rounds / 2 + 1) * bytes)) "$work/mp3" | tail -c $bytes >"$1.mp3"
}

loop harp 261.63 92 '1 0.45 0.22 0.1 0.05' 0.004 0.45 0
loop organ 174.61 66 '0.6 0.35 0.1 0.2 0 0.06 0 0.08' 0.06 0 0.15
loop bells 440 120 '1 0 0.15 0.35 0 0.12' 0.002 0.7 0

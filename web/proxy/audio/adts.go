package audio

var (
	// adtsRates are samples a second, by index (ISO/IEC 14496-3, table 1.18).
	adtsRates    = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	adtsChannels = [8]int{0, 1, 2, 3, 4, 5, 6, 8} // 0: the data say how many
	adtsProfiles = [4]string{"AAC Main", "AAC LC", "AAC SSR", "AAC LTP"}
)

// parseADTS reads a header (ISO/IEC 13818-7, 6.2) from at least headerSize bytes.
// MPEG-2 and MPEG-4 are the same to a player, so they are not told apart. HE-AAC cannot
// be recognised: its header is that of AAC LC at half the rate, and its extension is
// within the data.
func parseADTS(b []byte) (frame, bool) {
	rate := int(b[2] >> 2 & 0xf)
	size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	blocks := int(b[6]&3) + 1
	least := headerSize
	if crc := b[1]&1 == 0; crc {
		least += 2 * blocks // the CRC, and the position of each block but the first
	}
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 || rate >= len(adtsRates) || size <= least {
		return frame{}, false
	}
	return frame{
		params: Params{
			Codec:    ADTS,
			Format:   adtsProfiles[b[2]>>6],
			Rate:     adtsRates[rate],
			Channels: adtsChannels[b[2]<<2&4|b[3]>>6],
		},
		size:    size,
		samples: 1024 * blocks,
	}, true
}

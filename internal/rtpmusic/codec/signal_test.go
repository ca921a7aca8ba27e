package codec

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// random is a small generator of its own, so that the signals of these tests are
// the same in every release of Go.
type random uint32

func (r *random) next() uint32 {
	*r = *r*1664525 + 1013904223
	return uint32(*r >> 8)
}

func tone(n, rate int, hz, peak float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(math.Round(peak * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// sweep rises from 100 Hz to the given frequency.
func sweep(n, rate int, to, peak float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		t, length := float64(i)/float64(rate), float64(n)/float64(rate)
		pcm[i] = int16(math.Round(peak * math.Sin(2*math.Pi*(100*t+(to-100)*t*t/2/length))))
	}
	return pcm
}

func noise(n, peak int) []int16 {
	r, pcm := random(1), make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(int(r.next())%(2*peak+1) - peak)
	}
	return pcm
}

func join(parts ...[]int16) (all []int16) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func pcmBytes(pcm []int16) []byte {
	var b []byte
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

func pcmCRC(pcm []int16) uint32 { return crc32.ChecksumIEEE(pcmBytes(pcm)) }

// snr returns the ratio in dB of want to what got differs from it when it is late
// by delay samples. The first 400 samples are left out, while filters fill.
func snr(want, got []int16, delay int) float64 {
	var signal, fault float64
	for i := 400; i+delay < len(got) && i < len(want); i++ {
		w, e := float64(want[i]), float64(got[i+delay])-float64(want[i])
		signal, fault = signal+w*w, fault+e*e
	}
	return 10 * math.Log10(signal/fault)
}

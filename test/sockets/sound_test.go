package sockets

import (
	"encoding/binary"
	"math"
)

// sine makes n samples of a tone, from the at-th on, at a quarter of full scale.
func sine(hz float64, rate, at, n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(8192 * math.Sin(2*math.Pi*hz*float64(at+i)/float64(rate)))
	}
	return pcm
}

// energy is the mean square of a sound, 1 = full scale.
func energy(pcm []int16) (e float64) {
	for _, v := range pcm {
		e += float64(v) * float64(v) / (32768 * 32768)
	}
	return e / float64(max(len(pcm), 1))
}

// power is that of one frequency in a sound, by Goertzel's algorithm, in the
// unit of energy: for a pure tone they are the same.
func power(pcm []int16, rate int, hz float64) float64 {
	k := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)/32768+k*s1-s2, s1
	}
	n := float64(max(len(pcm), 1))
	return 2 * (s1*s1 + s2*s2 - k*s1*s2) / (n * n)
}

// audible is the energy that counts as sound: -50 dB.
const audible = 1e-5

// isTone reports whether a sound is that tone and little else.
func isTone(pcm []int16, rate int, hz float64) bool {
	e := energy(pcm)
	return e > audible && power(pcm, rate, hz) > 0.8*e
}

// join puts the sound of packets together.
func join(list []packet) (pcm []int16) {
	for _, p := range list {
		pcm = append(pcm, p.sound...)
	}
	return pcm
}

// stereo is a WAV file of two tones, one in each channel, 16 bit.
func stereo(rate int, seconds, left, right float64) []byte {
	n := int(seconds * float64(rate))
	l, r := sine(left, rate, 0, n), sine(right, rate, 0, n)
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 2) // channels
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(4*rate))
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(4*n))
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(l[i]))
		b = binary.LittleEndian.AppendUint16(b, uint16(r[i]))
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

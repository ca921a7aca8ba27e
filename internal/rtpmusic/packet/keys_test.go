package packet

import (
	"testing"
	"time"
)

// step is a packet of a row: an event, or audio.
type step struct {
	ms     int // when it arrives
	ts     uint32
	digit  byte // 0: audio
	end    bool
	marker bool
	dur    uint16
	ssrc   uint32
}

// press returns the packets of a press at ms, 20 ms apart and the last sent thrice.
func press(ms int, digit byte, length int) []step {
	ts := uint32(ms) * 8
	var s []step
	for at := 20; at < length; at += 20 {
		s = append(s, step{ms: ms + at, ts: ts, digit: digit, marker: at == 20, dur: uint16(at * 8)})
	}
	for i := range 3 {
		s = append(s, step{ms: ms + length + 20*i, ts: ts, digit: digit, end: true, dur: uint16(length * 8)})
	}
	return s
}

func audio(from, to int) []step {
	var s []step
	for ms := from; ms < to; ms += 20 {
		s = append(s, step{ms: ms, ts: uint32(ms) * 8})
	}
	return s
}

func join(parts ...[]step) []step {
	var s []step
	for _, p := range parts {
		s = append(s, p...)
	}
	return s
}

func code(digit byte) uint8 {
	for c := uint8(0); c < 16; c++ {
		if (Event{Code: c}).Digit() == digit {
			return c
		}
	}
	return 16
}

func play(k *Keys, steps []step) string {
	var got []byte
	for _, s := range steps {
		now := time.Duration(s.ms) * time.Millisecond
		if s.digit == 0 {
			got = k.Audio(got, now)
			continue
		}
		e := Event{Code: code(s.digit), End: s.end, Duration: s.dur}
		got = k.Event(got, s.ssrc, s.ts, s.marker, e, now)
	}
	return string(got)
}

func TestKeys(t *testing.T) {
	one := press(1000, '1', 100)
	two := press(1400, '2', 100)
	ends := len(one) - 3
	late := append([]step(nil), one[len(one)-1])
	restart := press(1400, '2', 100)
	for i := range restart {
		restart[i].ssrc, restart[i].ts = 9, 5
	}
	long := []step{
		{ms: 0, ts: 100, digit: '5', marker: true, dur: 160},
		{ms: 8180, ts: 100, digit: '5', dur: 65440},
		{ms: 8200, ts: 100 + 0xFFFF, digit: '5', dur: 160},
		{ms: 16400, ts: 100 + 2*0xFFFF, digit: '5', dur: 160, end: true},
	}
	long = append(long[:3:3], step{ms: 16380, ts: 100 + 0xFFFF, digit: '5', dur: 65500}, long[3])
	wide := []step{ // durations in units of 16 kHz, timestamps in those of 8 kHz
		{ms: 0, ts: 100, digit: '5', marker: true, dur: 320},
		{ms: 4080, ts: 100, digit: '5', dur: 65280},
		{ms: 4100, ts: 100 + 0x7FFF, digit: '5', dur: 65},
		{ms: 4120, ts: 100 + 0x7FFF, digit: '5', dur: 385, end: true},
		{ms: 4140, ts: 100 + 0x7FFF, digit: '5', dur: 385, end: true},
	}
	for _, tt := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"a press, its end sent thrice", one, "1"},
		{"two presses", join(one, two), "12"},
		{"the same key twice", join(one, press(1400, '1', 100)), "11"},
		{"start lost", one[ends:], "1"},
		{"all but the last end lost", one[len(one)-1:], "1"},
		{"ends lost, audio goes on", join(one[:ends], audio(1120, 1400)), "1"},
		{"ends lost, audio sent beside the key", join(one[:ends], audio(1000, 1100)), ""},
		{"ends lost, then another press", join(one[:ends], two), "12"},
		{"ends lost, and all but the end of the next", join(one[:ends], two[len(two)-1:]), "12"},
		{"an end delayed into the next press", join(one[:ends+1], two[:2], late, two[2:]), "12"},
		{"an end after the audio counted it", join(one[:ends], audio(1120, 1400), late), "1"},
		{"longer than the duration field", long, "5"},
		{"longer than the duration field, at 16 kHz", wide, "5"},
		{"longer than the duration field, then the same key", append(wide[:4:4], press(6000, '5', 60)...), "55"},
		{"sender begins anew with a key held", join(one[:ends], restart), "12"},
		{"flash", []step{{digit: 'x', end: true}}, ""},
		{"every key", join(press(0, '0', 60), press(200, '9', 60), press(400, '*', 60),
			press(600, '#', 60), press(800, 'A', 60), press(1000, 'D', 60)), "09*#AD"},
		{"audio alone", audio(0, 1000), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var k Keys
			if got := play(&k, tt.steps); got != tt.want {
				t.Errorf("keys %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKeysAcrossTimestampWrap(t *testing.T) {
	var k Keys
	got := k.Event(nil, 1, 0xFFFFFF00, true, Event{Code: 1, Duration: 160}, 0)
	got = k.Event(got, 1, 0x00000800, true, Event{Code: 2, End: true, Duration: 160}, time.Second)
	if string(got) != "12" {
		t.Errorf("keys %q", got)
	}
}

func TestParseEvent(t *testing.T) {
	e, ok := ParseEvent([]byte{11, 0x8A, 0x03, 0x20})
	if !ok || e != (Event{Code: 11, End: true, Volume: 10, Duration: 800}) || e.Digit() != '#' {
		t.Errorf("read %+v, %v", e, ok)
	}
	if _, ok := ParseEvent([]byte{1, 2, 3}); ok {
		t.Error("three octets are no event")
	}
}

// FuzzKeys checks that no packet ends more than two presses, and that all of them
// are keys.
func FuzzKeys(f *testing.F) {
	f.Add([]byte{1, 0, 0, 1, 0x80, 0, 1, 0, 1, 2, 0x80, 0})
	f.Add([]byte{5, 0, 255, 5, 0, 0, 6, 128, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var k Keys
		var got []byte
		now := time.Duration(0)
		for ; len(b) >= 3; b = b[3:] {
			now += time.Duration(b[2]) * time.Millisecond
			ts := uint32(b[2]) << 8
			if b[1]&1 == 0 {
				got = k.Audio(got, now)
				continue
			}
			before := len(got)
			got = k.Event(got, 1, ts, b[1]&2 != 0, Event{Code: b[0], End: b[1]&0x80 != 0, Duration: uint16(b[0]) << 8}, now)
			if len(got) > before+2 {
				t.Fatalf("one packet ended presses %q", got[before:])
			}
		}
		for _, d := range got {
			if code(d) > 15 {
				t.Fatalf("key %q", d)
			}
		}
	})
}

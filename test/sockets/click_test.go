package sockets

import (
	"testing"

	"parkd/internal/rtpmusic/codec"
	"parkd/test/live"
)

// A caller is parked, fetched by somebody who says nothing, parked again and fetched
// again: the music, one loud tone, is in the middle of a wave each time, and neither its
// end nor its begin clicks. Where the machine is so busy that a frame is late or left
// out beside one of them there may be a click; then it is tried again.
func TestMusicAndVoiceTakeTurnsWithoutAClick(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, caller, retriever string }{
		{"PCMU to PCMU", "0", "0"}, {"PCMA to G722", "8", "9"}, {"G722 to PCMU", "9", "0"}, {"G722 to G722", "9", "9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			const hz = 441.3
			s := newSite(t)
			s.file("tunes/tone.wav", stereo(48000, 3, hz, hz))
			s.start(`
sip: {listen: [udp://HOST:5060]}
media: {music_dir: tunes}
orbits: [{extension: 701-702, music: tone}]
`)
			ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
			parked := ann.Park("701", bob, live.Offer{Formats: row.caller})
			parked.Media.Talk(0)
			ext, next, first := "701", "702", 0
			for begins, ends, round := 0, 0, 0; begins < 2 || ends < 2; round++ {
				if round == 12 {
					t.Fatalf("%d beginnings and %d ends of %d without a click", begins, ends, round)
				}
				parked.Media.Tone(hz, first+20)
				fetched := bob.Dial("*4"+ext, live.Offer{Formats: row.retriever})
				fetched.Media.Talk(0)
				silent := parked.Media.Heard() + 10
				parked.Media.Until("silence", func(all []live.Packet) bool {
					return len(all) > silent && !sounds(all[len(all)-8:])
				})
				begin, end := edges(parked.Media.From(first))
				begins += clean(t, "beginning", begin, hz)
				ends += clean(t, "end", end, hz)
				first = parked.Media.Heard() - 5
				fetched.Transfer(next)
				fetched.Over()
				ext, next = next, ext
			}
			parked.Bye()
		})
	}
}

func sounds(list []live.Packet) bool { return live.Energy(live.Join(list)) > live.Audible }

// edges are the packets around the beginning and the end of the music among all.
func edges(all []live.Packet) (begin, end []live.Packet) {
	i, j := 0, len(all)-1
	for i < j && !sounds(all[i:i+1]) {
		i++
	}
	for i < j && !sounds(all[j:j+1]) {
		j--
	}
	return all[max(0, i-3):min(i+12, j)], all[max(i, j-8):min(j+8, len(all))]
}

// clean returns 1 if nothing was left out of packets and nothing clicks in them.
func clean(t *testing.T, what string, list []live.Packet, hz float64) int {
	t.Helper()
	for i, p := range list[1:] {
		q := list[i]
		step := int32(p.TS - q.TS)
		if p.SSRC != q.SSRC || p.Seq != q.Seq+1 || step < 160 {
			t.Fatalf("%d at %d of %d after %d at %d of %d", p.Seq, p.TS, p.SSRC, q.Seq, q.TS, q.SSRC)
		}
	}
	name := live.Static[list[0].PT]
	rate := codec.Rate(name)
	tone := codec.NewDecoder(name).Decode(nil, codec.NewEncoder(name).Encode(nil, live.Sine(hz, rate, 0, rate)))
	if n := live.Clicks(timeline(list), tone[rate/4:]); n != 0 {
		t.Logf("%d clicks at the %s of the music", n, what)
		return 0
	}
	return 1
}

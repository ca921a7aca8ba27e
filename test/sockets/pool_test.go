package sockets

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parkd/internal/rtpmusic/wav"
	"parkd/test/live"
)

const pooled = plain + "pools: [{extension: \"700\", orbits: 701-703}]\n"

// word is a spoken word that ships with parkd, at a sampling rate.
func word(t *testing.T, name string, rate int) []float32 {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", "..", "internal", "rtpmusic", "library", "words", name+".wav"))
	if err != nil {
		t.Fatal(err)
	}
	sound, err := wav.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return wav.Resample(sound.Samples, sound.Rate, rate)
}

// timeline is what packets carry, each at its time.
func timeline(packets []live.Packet) (pcm []int16) {
	for _, p := range packets {
		at := int(p.TS-packets[0].TS) * live.RateOf(p.PT) / 8000
		for len(pcm) < at {
			pcm = append(pcm, 0) // left out on a busy machine
		}
		pcm = append(pcm, p.Sound...)
	}
	return pcm
}

// find returns where in x a word is, and how much alike they are there: 1 is the
// same. Where x is 0 nothing came, and nothing is compared; half of it is enough.
func find(x []int16, word []float32) (at int, like float64) {
	for i := 0; i+len(word) <= len(x); i++ {
		var dot, there, own, n float64
		for j := 0; j < len(word); j += 3 {
			v, w := float64(x[i+j]), float64(word[j])
			if v == 0 {
				continue
			}
			dot, there, own, n = dot+v*w, there+v*v, own+w*w, n+1
		}
		if l := dot / math.Sqrt(own*there+1); n > float64(len(word))/6 && l > like {
			at, like = i, l
		}
	}
	return at, like
}

func TestWhoDialsAPoolHearsTheOrbit(t *testing.T) {
	t.Parallel()
	for format, codec := range formats {
		t.Run(codec.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start(pooled)
			s.phone("ann", "udp", s.host+":5060").Dial("701", live.Offer{})
			c := s.phone("bob", "udp", s.host+":5060").Dial("700", live.Offer{Formats: format})
			heard := c.Media.First(5 * 50)
			if heard[0].PT != codec.pt {
				t.Fatalf("payload type %d", heard[0].PT)
			}
			rate := live.RateOf(codec.pt)
			x, end := timeline(heard), 0
			for _, want := range []string{"parked-on", "7", "0", "2"} {
				// What is said within half a second of the word before, of all words.
				window, said, at, best := x[end:min(end+7*rate/10, len(x))], "", 0, 0.0
				for _, name := range strings.Split("parked-on call-from 0 1 2 3 4 5 6 7 8 9", " ") {
					if from, like := find(window, word(t, name, rate)[:rate/5]); like > best {
						said, at, best = name, from, like
					}
				}
				t.Logf("%q at %.2f s, %.3f alike", said, float64(end+at)/float64(rate), best)
				if said != want || best < 0.5 {
					t.Fatalf("heard %q, want %q", said, want)
				}
				end += at + len(word(t, want, rate))
			}
			if e := live.Energy(x[len(x)-rate/2:]); e < live.Audible {
				t.Errorf("silence after the words: energy %.2g", e)
			}
		})
	}
}

// The admin's own word is said; a file that is none costs nobody a call.
func TestWordsOfTheAdminsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("words/7.wav", stereo(8000, 1, 880, 880))
	s.start(pooled + "media: {announcements: words}\n")
	c := s.phone("bob", "udp", s.host+":5060").Dial("700", live.Offer{})
	c.Media.Tone(880, 0)
	s.file("words/1.wav", []byte("RIFF and no more"))
	s.reloaded(pooled+"media: {announcements: words}\nlog: {level: debug}\n", "log.level")
	if list := s.log.Find("built-in words in place of files that cannot be used"); len(list) != 1 {
		t.Errorf("logged: %q", list)
	}
	c = s.phone("ben", "udp", s.host+":5060").Dial("700", live.Offer{})
	c.Media.Tone(880, 0)
}

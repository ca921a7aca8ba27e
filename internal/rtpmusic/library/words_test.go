package library

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

func mustLoad(t *testing.T) *Library {
	t.Helper()
	l, err := Load("/nowhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// builtin is the sound of a word that ships inside the program.
func builtin(t *testing.T, name string) wav.Sound {
	t.Helper()
	file, err := wordFiles.ReadFile("words/" + name + ".wav")
	if err != nil {
		t.Fatal(err)
	}
	sound, err := wav.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return sound
}

// heard is what a phone hears of an announcement, up to where the tune begins.
func heard(a *Announcement, name string) (pcm []int16, then Piece) {
	dec := codec.NewDecoder(name)
	for then = a.Next(nil); ; then = a.Next(then) {
		if _, word := then.(*said); !word {
			return pcm, then
		}
		pcm = dec.Decode(pcm, then.Audio(name))
	}
}

// find returns where in x a word is, and how much alike they are there: 1 is the same.
func find(x []int16, word []float32) (at int, like float64) {
	var own float64
	for _, v := range word {
		own += float64(v) * float64(v)
	}
	for i := 0; i+len(word) <= len(x); i++ {
		var dot, there float64
		for j := 0; j < len(word); j += 3 { // enough to tell
			v := float64(x[i+j])
			dot += v * float64(word[j])
			there += v * v
		}
		if l := dot / math.Sqrt(own/3*there+1); l > like {
			at, like = i, l
		}
	}
	return at, like
}

func decibels(power float64, n int) float64 {
	return 10 * math.Log10(power/float64(n)+1e-12)
}

func loudness(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return decibels(sum, len(x))
}

func TestWordsAreAsLoudAsTheMusic(t *testing.T) {
	music, err := wav.Decode(defaultFile)
	if err != nil {
		t.Fatal(err)
	}
	want := loudness(music.Samples)
	for _, name := range Words() {
		s := builtin(t, name)
		if got := loudness(s.Samples); math.Abs(got-want) > 2.5 {
			t.Errorf("%s: %.1f dB, the music has %.1f", name, got, want)
		}
		if s.Rate != 8000 {
			t.Errorf("%s: %d Hz", name, s.Rate)
		}
		if d := float64(len(s.Samples)) / 8000; d < 0.15 || d > 2 {
			t.Errorf("%s: lasts %.2f s", name, d)
		}
		for _, v := range s.Samples {
			if math.Abs(float64(v)) > 0.75 {
				t.Errorf("%s: peaks at %.2f", name, v)
				break
			}
		}
	}
}

func TestAnnouncementIsHeardInOrder(t *testing.T) {
	l := mustLoad(t)
	words := []string{"parked-on", "7", "0", "1", "1"}
	for _, name := range codec.Names() {
		t.Run(name, func(t *testing.T) {
			rate := codec.Rate(name)
			x, _ := heard(l.Say(words, Default), name)
			from := 0
			for i, w := range words {
				sound := builtin(t, w)
				at, like := find(x[from:from+rate], wav.Resample(sound.Samples, sound.Rate, rate)[:rate/5])
				if like < 0.9 {
					t.Fatalf("word %d, %s: is not heard, %.2f alike", i, w, like)
				}
				silence := at
				if i == 0 {
					if ms := at * 1000 / rate; ms < breath-20 || ms > breath+60 {
						t.Errorf("the first word begins after %d ms", ms)
					}
				} else if ms := silence * 1000 / rate; ms < gap-20 || ms > gap+60 {
					t.Errorf("word %d, %s: begins %d ms after the one before", i, w, ms)
				}
				from += at + int(float64(len(sound.Samples))*float64(rate)/float64(sound.Rate))
			}
			if ms := (len(x) - from) * 1000 / rate; ms < breath+gap-40 || ms > breath+gap+80 {
				t.Errorf("the music begins %d ms after the last word", ms)
			}
		})
	}
}

func TestAfterAnAnnouncement(t *testing.T) {
	l := mustLoad(t)
	a := l.Say([]string{"7", "no-such-word", "0"}, Default)
	x, then := heard(a, codec.PCMU)
	tune := l.Tune(Default)
	if intro, loop := tune.Next(nil), Piece(loopOf(tune)); then != intro || a.Next(loop) != loop {
		t.Error("the music does not follow")
	}
	y, _ := heard(l.Say([]string{"7", "0"}, ""), codec.PCMU)
	if len(x) != len(y) {
		t.Error("a word that there is not takes time")
	}
	a = l.Say(nil, "")
	x, silence := heard(a, codec.PCMU)
	if a.Next(silence) != silence {
		t.Error("silence does not go on")
	}
	for _, v := range append(x, codec.NewDecoder(codec.PCMU).Decode(nil, silence.Audio(codec.PCMU))...) {
		if v < -8 || v > 8 {
			t.Fatalf("silence is %d", v)
		}
	}
	for _, name := range codec.Names() {
		if n := len(silence.Audio(name)); n == 0 || n%(codec.ByteRate/framesPerSecond) != 0 {
			t.Errorf("%s: silence of %d octets", name, n)
		}
	}
}

func TestWordsOfOnesOwn(t *testing.T) {
	l := mustLoad(t)
	dir := t.TempDir()
	own := tone(16000, 440, 0.5, 0.3)
	writeWAV(t, filepath.Join(dir, "7.wav"), own)
	writeWAV(t, filepath.Join(dir, "8.wav"), tone(8000, 440, maxWord+1, 0.3))
	if err := os.WriteFile(filepath.Join(dir, "9.wav"), []byte("no sound"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := l.Speak(dir)
	if !errors.Is(err, ErrLong) || !errors.Is(err, wav.ErrFormat) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("faults: %v", err)
	}
	x, _ := heard(l.Say([]string{"7", "8", "9", "1"}, ""), codec.PCMU)
	for _, w := range []struct {
		name  string
		sound []float32
	}{
		{"7", wav.Resample(own.Samples, own.Rate, 8000)[:1600]},
		{"8", builtin(t, "8").Samples[:1600]},
		{"9", builtin(t, "9").Samples[:1600]},
		{"1", builtin(t, "1").Samples[:1600]},
	} {
		at, like := find(x, w.sound)
		if like < 0.9 {
			t.Fatalf("%s is not heard, %.2f alike", w.name, like)
		}
		x = x[at:]
	}
	if err := l.Speak(""); err != nil {
		t.Fatal(err)
	}
	x, _ = heard(l.Say([]string{"7"}, ""), codec.PCMU)
	if _, like := find(x, builtin(t, "7").Samples[:1600]); like < 0.9 {
		t.Error("the built-in word is not back")
	}
	if err := l.Speak(filepath.Join(dir, "none")); err != nil {
		t.Errorf("no folder: %v", err)
	}
}

package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// record is one as subscriptions have them: much that is alike, and a few texts of
// its own, of which its key has one too.
func record(i int, tag string) []byte {
	return fmt.Appendf(nil, `{"format":1,"epoch":1,"dialog":{"call_id":"w%d-127.0.0.1:32979","local":%q,"remote":"w%d",`+
		`"local_uri":"sip:738@127.0.0.1","remote_uri":"sip:w%d@phones.example.com","target":"sip:w%d@127.0.0.1:32979","local_seq":1024,"remote_seq":1,`+
		`"flow":{"network":"udp","local":"127.0.0.1:41897","remote":"127.0.0.1:32979"}},"resource":"738","user":"738","event":"dialog",`+
		`"accept":"application/dialog-info+xml","entity":"sip:738@127.0.0.1","version":1024,"interval":3600,`+
		`"since":"2026-11-30T19:08:%02d.25152371Z","expires":"2026-11-30T20:08:%02d.251574%02dZ","from":"sip:w%d@phones.example.com",`+
		`"contact":"sip:w%d@127.0.0.1:32979","agent":"Bench 1.0"}`, i, tag, i, i, i, i%60, i%60, i%97, i, i)
}

// tagged is a key with a tag that is random, as ours are.
func tagged(r *rand.Rand) (key, tag string) {
	for range 26 {
		tag += string("abcdefghijklmnopqrstuvwxyz234567"[r.IntN(32)])
	}
	return "738/sub/" + tag, tag
}

func packAll(c *copies) {
	for c.pack() {
	}
}

// A copy takes a third of what its value and key would.
func TestCopiesAreSmall(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const many = 10_000
	r := rand.New(rand.NewPCG(1, 1))
	c, before, bytes := newCopies(), uint64(0), 0
	for i := range 100 + many {
		if i == 100 { // what is needed once is there
			before = heap()
		}
		key, tag := tagged(r)
		value := record(i, tag)
		c.put(key, value, uint64(i))
		packAll(c)
		bytes += len(key) + len(value)
	}
	each, plain := int(heap()-before)/many, bytes/(100+many)
	t.Logf("%d bytes each, of %d", each, plain)
	if each > plain/3 {
		t.Errorf("%d bytes each, of %d", each, plain)
	}
	runtime.KeepAlive(c)
}

// Whatever there is of kinds, lengths and dictionaries that are full.
func TestCopies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return b
	}
	c, want, numbers := newCopies(), map[string][]byte{}, map[string]uint64{}
	for i := range 3000 {
		key, tag := tagged(r)
		var value []byte
		switch i % 7 {
		case 0:
			key, value = fmt.Sprintf("7/kind%d/%d", i%50, i), noise(r.IntN(300)) // more kinds than dictionaries
		case 1:
			key, value = fmt.Sprint(i), noise(r.IntN(longWords)) // fills one
		case 2:
			value = bytes.Repeat([]byte("za"), r.IntN(100))
		case 3:
			key = strings.Repeat(key, MaxKey/len(key))
			value = append(record(i, tag), key...)
		case 4:
			if i%5 == 0 {
				value = append(noise(70_000), record(i, tag)...) // longer than places are
			}
		default:
			value = record(i, tag)
		}
		if i%3 == 0 {
			for old := range want { // one in the place of another
				key = old
				break
			}
		}
		c.put(key, value, uint64(i)<<40)
		want[key], numbers[key] = bytes.Clone(value), uint64(i)<<40
		if i%50 == 0 {
			packAll(c)
			clear(value) // the copy has nothing of it
		}
		if i%10 == 0 {
			c.delete(key)
			delete(want, key)
		}
		if c.has(key) != (i%10 != 0) {
			t.Fatalf("%q: there %v", key, c.has(key))
		}
	}
	if len(c.plain) == 0 || len(c.packed) == 0 {
		t.Errorf("%d are packed, %d not", len(c.packed), len(c.plain))
	}
	if len(c.kinds) > maxKinds+1 {
		t.Errorf("%d dictionaries", len(c.kinds))
	}
	for name, d := range c.kinds {
		if len(d.text) > maxText {
			t.Errorf("%d bytes in the dictionary of %q", len(d.text), name)
		}
	}
	all := c.load("")
	if len(all) != len(want) || c.len() != len(want) {
		t.Errorf("%d of %d values, %d counted", len(all), len(want), c.len())
	}
	for k, v := range want {
		if n, there := c.number(k); !there || n != numbers[k] {
			t.Fatalf("%q has number %d, %v; want %d", k, n, there, numbers[k])
		}
		if !bytes.Equal(all[k], v) {
			t.Fatalf("%q: %q came back as %q", k, v, all[k])
		}
	}
}

// A dictionary learns what it does not know, and not what it knows.
func TestDictionariesStayShort(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	c := newCopies()
	for i := range 1000 {
		key, tag := tagged(r)
		c.put(key, record(i, tag), 1)
		packAll(c)
	}
	d := c.kinds["sub"]
	if d.known != firstFew {
		t.Errorf("it knows %d values", d.known)
	}
	other := noiseless(400)
	for i := range 9 {
		c.put(fmt.Sprint("738/sub/", i), other, 1)
		packAll(c)
	}
	if n := len(c.packed["738/sub/8"]) - 8; d.known > firstFew+8 || n > 20 {
		t.Errorf("it knows %d values; more phones of another make take %d bytes", d.known, n)
	}
	if n := len(d.words); n > 10 {
		t.Errorf("%d dictionaries of one kind", n)
	}
}

// noiseless is text that does not repeat itself.
func noiseless(n int) (b []byte) {
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "%x.", i*i*7919)
	}
	return b
}

func BenchmarkCopies(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var keys []string
	var values [][]byte
	for i := range 2000 {
		key, tag := tagged(r)
		keys, values = append(keys, key), append(values, record(i, tag))
	}
	c, i := newCopies(), 0
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.put(keys[i%2000], values[i%2000], 1)
			packAll(c)
			i++
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.get(keys[i%min(len(c.packed), 2000)])
			i++
		}
	})
}

package rtpmusic

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
)

// speech is n packets of 20 ms of a sweep.
func speech(name string, n int) (packets [][]byte) {
	enc, rate := codec.NewEncoder(name), codec.Rate(name)
	for i := range n {
		pcm := make([]int16, rate/50)
		for j := range pcm {
			s := float64(i*len(pcm)+j) / float64(rate)
			pcm[j] = int16(8000 * math.Sin(2*math.Pi*(300+400*s)*s))
		}
		packets = append(packets, enc.Encode(nil, pcm))
	}
	return packets
}

// arrival is a packet of speech, and when it comes.
type arrival struct{ n, ms int }

// inTime is packets from-th to to-th at their time.
func inTime(from, to int) (list []arrival) {
	for n := from; n < to; n++ {
		list = append(list, arrival{n, 20 * n})
	}
	return list
}

// Packets that arrive out of order are decoded in order, if they are not too late; what
// is lost delays nothing by more than holdFor, and leaves a gap.
func TestTranscodingInOrder(t *testing.T) {
	begin := inTime(0, 10)
	for _, c := range []struct {
		name string
		come []arrival
		lost []int // of those that come through
		late map[int]int
	}{
		{name: "as sent", come: inTime(10, 20)},
		{name: "two change places", come: []arrival{{11, 215}, {10, 220}, {12, 240}, {13, 260}}, late: map[int]int{11: 5}},
		{name: "three turned round", come: []arrival{{12, 240}, {11, 245}, {10, 250}, {13, 260}}, late: map[int]int{12: 10, 11: 5}},
		{name: "one comes twice", come: []arrival{{10, 200}, {10, 210}, {11, 220}, {10, 230}, {12, 240}}},
		{name: "held ones come twice", come: []arrival{{11, 215}, {11, 217}, {10, 220}, {12, 240}}, late: map[int]int{11: 5}},
		{name: "one is lost", come: inTime(11, 20), lost: []int{10}, late: map[int]int{11: 30, 12: 10}},
		{name: "one is too late", come: []arrival{{11, 220}, {12, 240}, {10, 255}, {13, 260}}, lost: []int{10}, late: map[int]int{11: 30, 12: 10}},
		{name: "two gaps", come: []arrival{{11, 220}, {13, 225}, {14, 280}, {15, 300}}, lost: []int{10, 12}, late: map[int]int{11: 30, 13: 30}},
		{name: "one is lost before a pause", come: []arrival{{11, 220}, {60, 1200}, {61, 1220}}, lost: []int{10}, late: map[int]int{11: 30, 60: 30, 61: 10}},
		{name: "many at once behind a gap", come: []arrival{{11, 220}, {12, 220}, {13, 220}, {14, 221}}, lost: []int{10}, late: map[int]int{11: 1, 12: 1, 13: 1}},
	} {
		for _, codecs := range [][2]string{{codec.PCMU, codec.G722}, {codec.G722, codec.PCMA}} {
			t.Run(fmt.Sprintf("%s, %s to %s", c.name, codecs[0], codecs[1]), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					inOrder(t, codecs[0], codecs[1], append(begin[:10:10], c.come...), c.lost, c.late)
				})
			})
		}
	}
}

func inOrder(t *testing.T, from, to string, come []arrival, lost []int, late map[int]int) {
	w, a, b := pair(t)
	defer w.e.Close()
	a.port.Set(a.session(from, 96))
	b.port.Set(b.session(to, 97))
	Bridge(a.port, b.port)
	packets, start := speech(from, 100), time.Now()
	came := map[int]time.Time{}
	for _, p := range come {
		time.Sleep(time.Until(start.Add(time.Duration(p.ms) * time.Millisecond)))
		a.send(false, 96, uint16(65530+p.n), uint32(160*p.n), packets[p.n])
		if _, twice := came[p.n]; !twice {
			came[p.n] = time.Now()
		}
		synctest.Wait()
	}
	time.Sleep(time.Second)
	got := b.received()
	isLost := func(n int) bool {
		for _, l := range lost {
			if n == l {
				return true
			}
		}
		return false
	}
	trans, i := codec.NewTranscoder(from, to), 0
	for n := range packets {
		if _, ok := came[n]; !ok || isLost(n) {
			continue
		}
		if i == len(got) {
			t.Fatalf("%d packets came through, not packet %d", len(got), n)
		}
		p := got[i]
		if p.SequenceNumber-got[0].SequenceNumber != uint16(n) || p.Timestamp-got[0].Timestamp != uint32(160*n) {
			t.Errorf("packet %d: %v after %v", n, p.Header, got[0].Header)
		}
		if want := trans.Frame(nil, packets[n]); !bytes.Equal(p.Payload, want) {
			t.Errorf("packet %d sounds other than it should", n)
		}
		if d := p.at.Sub(came[n]).Milliseconds(); d != int64(late[n]) {
			t.Errorf("packet %d is sent %d ms after it came, want %d", n, d, late[n])
		}
		i++
	}
	if i != len(got) {
		t.Errorf("%d packets, want %d", len(got), i)
	}
}

// Between mu-law and A-law a packet says all by itself, and nothing waits.
func TestTablesNeedNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMA, 8))
		Bridge(a.port, b.port)
		for i, n := range []uint16{0, 1, 4, 3, 2, 5} {
			a.send(false, 0, 100+n, 160*uint32(n), make([]byte, 160))
			synctest.Wait()
			if got := b.received(); len(got) != 1 {
				t.Fatalf("%d packets after the %d-th", len(got), i)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// What is held when a bridge ends, or the peer is put on hold, is not heard later.
func TestNothingIsHeldBeyondTheBridge(t *testing.T) {
	for name, change := range map[string]func(a, b, c *phone){
		"bridged with another": func(a, b, c *phone) { Bridge(c.port, b.port) },
		"parted":               func(a, b, c *phone) { Unbridge(a.port, b.port) },
		"closed":               func(a, b, c *phone) { b.port.Close() },
		"the other one closed": func(a, b, c *phone) { a.port.Close() },
		"on hold": func(a, b, c *phone) {
			s := b.session(codec.G722, 9)
			s.Send = false
			b.port.Set(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				c := w.phone("10.0.0.4:4000")
				a.port.Set(a.session(codec.PCMU, 0))
				b.port.Set(b.session(codec.G722, 9))
				c.port.Set(c.session(codec.PCMU, 0))
				Bridge(a.port, b.port)
				during(5, func(int) { a.say(make([]byte, 160)) })
				a.seq++ // lost
				a.say(make([]byte, 160))
				synctest.Wait()
				b.received()
				change(a, b, c)
				time.Sleep(time.Second)
				if got := b.received(); len(got) > 0 {
					t.Errorf("%d packets", len(got))
				}
			})
		})
	}
}

// What is not passed on looks like a pause, not like a loss.
func TestLeftOutLeavesNoGap(t *testing.T) {
	for _, to := range []string{codec.PCMU, codec.PCMA, codec.G722} {
		t.Run(to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				a.port.Set(a.session(codec.PCMU, 0))
				s := b.session(to, 97)
				s.EventPT = 0 // takes none
				b.port.Set(s)
				Bridge(a.port, b.port)
				during(10, func(int) { a.say(make([]byte, 160)) })
				a.seq, a.ts = a.seq+1, a.ts+160
				a.send(false, 13, a.seq, a.ts, []byte{40}) // comfort noise, RFC 3389
				time.Sleep(500 * time.Millisecond)
				a.ts += 25 * 160
				during(10, func(int) { a.say(make([]byte, 160)) })
				ts := a.ts + 160
				during(8, func(i int) {
					a.seq++
					a.send(i == 0, 101, a.seq, ts, []byte{7, 10, 0, byte(20 * i)})
				})
				a.ts += 8 * 160
				during(10, func(int) { a.say(make([]byte, 160)) })
				got := b.received()
				if len(got) != 30 {
					t.Fatalf("%d packets", len(got))
				}
				oneStream(t, got)
				for i, p := range got {
					if p.Marker != (i%10 == 0) { // RFC 3551 4.1: of what follows a pause
						t.Errorf("packet %d has marker %t", i, p.Marker)
					}
				}
			})
		})
	}
}

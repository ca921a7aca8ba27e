//go:build linux

package main

import "fmt"

// bridges are how many are measured.
const bridges = 500

// relay: what a packet costs that comes in at one end of a bridge and goes out at
// the other, against the floor's packet.
func relay(o options) error {
	s, err := newStreams(o, 2*bridges)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.calls.fill("701", bridges, o.rate); err != nil {
		return err
	}
	if err := s.calls.fill("*4701", bridges, o.rate); err != nil {
		return err
	}
	var each, deaf, talk latencies
	in, out := 0, 0
	for range o.rounds {
		if err := s.measureFloor(); err != nil {
			return err
		}
		r, err := s.round(1)
		if err != nil {
			return err
		}
		each = append(each, r.alone.Packet())
		deaf, talk = append(deaf, r.deaf.Packet()), append(talk, r.talk.Packet())
		in, out = in+r.alone.in, out+r.alone.Packets
	}
	if err := s.measureFloor(); err != nil {
		return err
	}
	bare, least, most := s.bare()
	fmt.Printf("relay    %d bridges, both ends talk: %v of CPU a packet in and out, the floor beside %d parks a second %v (%v-%v): ratio %.2f; %.1f %% of what was read was sent; a packet costs who sends it %v, %v if it is thrown away at once\n",
		bridges, mid(each), mediaParks, bare, least, most, float64(mid(each))/float64(bare), 100*float64(out)/float64(max(in, 1)), mid(talk), mid(deaf))
	return nil
}

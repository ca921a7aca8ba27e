package bubble

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// Two parties who hold, resume, move and change codecs as fast as their phones can, by
// re-INVITEs that cross ours, hear each other when they have come to rest; and nothing
// is left of it.
func TestTwoWhoCannotMakeUpTheirMinds(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			run(t, func(s *kit.Site) {
				r := rand.New(rand.NewPCG(seed, 1))
				alice, bob := s.Phone("alice"), s.Phone("bob")
				if seed%2 == 1 {
					encrypted(alice, cm80, false)
				}
				if seed%3 == 1 {
					encrypted(bob, "AEAD_AES_256_GCM", true)
				}
				parked := park(alice, bob)
				fetched := retrieve(s, bob, parked)
				for range 100 {
					c := []*phone.Call{parked, fetched}[r.IntN(2)]
					wants(c, whim(r, c))
					time.Sleep(time.Duration(r.IntN(3)*r.IntN(30)) * time.Millisecond)
				}
				s.Wait(10 * time.Second)
				for _, c := range []*phone.Call{parked, fetched} {
					for !wants(c, phone.SDP{}) {
						s.Wait(time.Second)
					}
				}
				s.Wait(5 * time.Second)
				talk(s, parked, fetched)
				unbroken(s, parked)
				unbroken(s, fetched)
				goodbye(s, fetched, parked)
			})
		})
	}
}

// whim is what a party may want next.
func whim(r *rand.Rand, c *phone.Call) (d phone.SDP) {
	switch r.IntN(8) {
	case 0:
		d.Address = "0.0.0.0"
	case 1:
		d.Removed = true
	case 2:
		c.Media.Move()
	case 3:
		d.Formats = "8 101"
	case 4:
		d.Formats = "9 0 101"
	case 5:
		if c.Media.Secured() != "" {
			c.Media.Rekey(c.Media.Secured())
		}
	default:
		d.Direction = []string{"", "sendonly", "recvonly", "inactive"}[r.IntN(4)]
	}
	return d
}

// wants offers another description; false if that is refused, as it crosses ours.
func wants(c *phone.Call, d phone.SDP) bool {
	code := c.Reinvite(d).Wait(time.Second).Code()
	if code == 200 {
		c.Ack()
	}
	return code == 200
}

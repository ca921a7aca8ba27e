package srtp

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Key is what a peer sends under.
type Key struct {
	Key []byte // master key and salt
	// MKI is what its packets have (RFC 3711 3.1): before the tag of RTP, behind the
	// index of RTCP; nil = they have none. Those of several keys have one length.
	MKI []byte
	// Lifetime is how many packets of RTP, and how many of RTCP, it protects (RFC 3711
	// 9.2); 0 = 2^48, the most there can be.
	Lifetime uint64
}

// Receiver opens what a peer sends under its key, or under several that packets name.
type Receiver struct {
	ctx     *srtp.Context
	suite   suite
	mki     int    // octets of an MKI
	keys    []used // as many as there are
	header  rtp.Header
	sources map[uint32]struct{} // whose packets have been opened
	reports map[uint32]struct{} // and whose RTCP
	spent   bool                // a packet came too late for its key

	// Until a packet has been opened: streams may have begun long ago.
	late  func() *srtp.Context // makes ctx anew; nil = they have not, or one was found
	tried int
}

// used is how often a key was used.
type used struct {
	mki       string
	life      uint64
	rtp, rtcp uint64 // packets opened
}

const (
	maxLifetime  = 1 << 48
	replayWindow = 128 // packets (RFC 3711 3.3.2: at least 64)
	// maxSources bounds what a peer that changes its SSRC all the time takes of memory.
	maxSources = 256
	// lateRolls is how many roll overs are looked for of a stream that was joined late:
	// at 50 packets a second they are a day.
	lateRolls = 66
	lateTries = 16 // sources for which that is done in vain before the context is made anew
	// lateFull is for how many packets in vain that is done each time, and then for one
	// in lateRolls: a flood of forged ones would cost its reader that many times more.
	lateFull = 64
)

// NewReceiver makes a Receiver of a crypto-suite's name and the peer's keys, one at
// least.
// late: the peer may have sent under them for a long time, to a former process, and
// nobody knows how often its sequence numbers have rolled over (RFC 3711 3.3.1); they
// are searched for. Errors: ErrSuite, ErrKey, ErrMKI.
func NewReceiver(suite string, keys []Key, late bool) (*Receiver, error) {
	fresh := func() (*srtp.Context, error) { return receiving(suite, keys) }
	ctx, err := fresh()
	if err != nil {
		return nil, err
	}
	r := &Receiver{ctx: ctx, suite: suites[suite], mki: len(keys[0].MKI), sources: make(map[uint32]struct{}, 1)}
	for _, k := range keys {
		r.keys = append(r.keys, used{mki: string(k.MKI), life: cmp.Or(k.Lifetime, maxLifetime)})
	}
	if late {
		r.late = func() *srtp.Context {
			ctx, _ := fresh() // as before
			return ctx
		}
	}
	return r, nil
}

// receiving makes pion's context of several keys.
func receiving(suite string, keys []Key) (*srtp.Context, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: none", ErrKey)
	}
	ctx, err := context(suite, keys[0].Key, srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow),
		srtp.MasterKeyIndicator(keys[0].MKI))
	if err != nil {
		return nil, err
	}
	for _, k := range keys[1:] {
		if err := fits(suite, k.Key); err != nil {
			return nil, err
		}
		n := suites[suite].key
		if err := ctx.AddCipherForMKI(k.MKI, k.Key[:n], k.Key[n:]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMKI, err)
		}
	}
	return ctx, nil
}

// Spent reports whether packets came under a key whose lifetime was over.
func (r *Receiver) Spent() bool { return r.spent }

// under is the key of a packet whose last octets behind the MKI are a tag of that many;
// nil: it names none of the peer's.
func (r *Receiver) under(b []byte, tag int) *used {
	if r.mki == 0 {
		return &r.keys[0]
	}
	end := len(b) - tag
	if end < r.mki {
		return nil
	}
	for i := range r.keys {
		if string(b[end-r.mki:end]) == r.keys[i].mki {
			return &r.keys[i]
		}
	}
	return nil
}

// RTP opens a packet in place and returns it, shorter by its tag and MKI. b is of no
// more use after an error: ErrForged, ErrSpent, ErrSources.
func (r *Receiver) RTP(b []byte) ([]byte, error) {
	if len(b) < 12 {
		return nil, ErrForged
	}
	key := r.under(b, r.suite.rtp)
	if key == nil {
		return nil, ErrForged
	}
	if key.rtp == key.life {
		r.spent = true
		return nil, ErrSpent
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	_, known := r.sources[ssrc]
	if !known && len(r.sources) == maxSources {
		return nil, ErrSources
	}
	out, err := r.open(b, ssrc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	key.rtp++
	if !known {
		r.sources[ssrc] = struct{}{}
		r.late = nil
	}
	return out, nil
}

// open opens a packet, whose roll over counter may have to be found first.
func (r *Receiver) open(b []byte, ssrc uint32) ([]byte, error) {
	if r.late == nil {
		return r.ctx.DecryptRTP(b, b, &r.header)
	}
	if r.tried++; r.tried%lateTries == 0 { // nothing was opened: nothing is lost
		r.ctx = r.late()
	}
	rolls := uint32(lateRolls)
	if r.tried > lateFull && r.tried%lateRolls != 0 {
		rolls = 1
	}
	trial := make([]byte, len(b)) // AES-GCM wipes what does not fit
	var first error
	for roll := range rolls {
		r.ctx.SetROC(ssrc, roll)
		out, err := r.ctx.DecryptRTP(trial[:0], b, &r.header)
		if err == nil {
			return out, nil
		}
		if roll == 0 {
			first = err
		}
	}
	return nil, first
}

// RTCP opens a compound of RTCP packets in place. b is of no more use after an
// error: ErrForged, ErrSpent, ErrSources.
func (r *Receiver) RTCP(b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, ErrForged
	}
	key := r.under(b, r.suite.rtcp)
	if key == nil {
		return nil, ErrForged
	}
	if key.rtcp == key.life {
		r.spent = true
		return nil, ErrSpent
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	_, known := r.reports[ssrc]
	if !known && len(r.reports) == maxSources {
		return nil, ErrSources
	}
	out, err := r.ctx.DecryptRTCP(b, b, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	key.rtcp++
	if !known {
		if r.reports == nil {
			r.reports = make(map[uint32]struct{}, 1)
		}
		r.reports[ssrc] = struct{}{}
	}
	return out, nil
}

package benchmedia

import (
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"
)

// What a number of calls must keep to be carried.
const (
	maxLate    = 10 * time.Millisecond // of 99.9 % of the packets: half a frame, which any jitter buffer takes
	maxMissing = 0.001                 // part of the packets
)

// ErrSystem: this system has no such sockets; only Linux has.
var ErrSystem = errors.New("benchmedia: only on Linux")

// Options say what is measured.
type Options struct {
	Ports  [2]uint16     // of media, first and last
	Calls  int           // at most so many; 0 = as many as this process may have sockets
	Silent bool          // callers do not talk
	Time   time.Duration // about how long it may take
}

// Report is what came of it. Times are in units that its names tell.
type Report struct {
	Calls       int     `json:"calls"` // that were carried
	Silent      bool    `json:"silent"`
	Limit       string  `json:"limit"` // what more calls would meet: load, open files, ports, asked for, or time
	Cores       int     `json:"cores"`
	Steps       []Step  `json:"steps"`         // in the order in which they were tried
	FloorCalls  int     `json:"floor_calls"`   // streams of the bare sender
	FloorPacket float64 `json:"floor_cpu_us"`  // its CPU a packet
	FloorRatio  float64 `json:"floor_ratio"`   // of the step with as many streams; 0 = there was none
	FloorLate   float64 `json:"floor_late_ms"` // of 99.9 % of its packets
	Disturbed   bool    `json:"disturbed"`     // the bare sender was late, too: others take the CPU, and Calls says little
	Memory      float64 `json:"memory_kb"`     // of a call's media; signalling is not in it
	OpenFiles   uint64  `json:"open_files"`    // that this process may have
	PortPairs   int     `json:"media_ports"`   // streams that the range of ports has room for
}

// Step is a number of calls that was tried.
type Step struct {
	Calls   int     `json:"calls"`
	Packet  float64 `json:"cpu_us"`  // CPU of a packet of music, with what the caller's costs parkd
	Busy    float64 `json:"cores"`   // cores' worth of CPU that parkd's media takes
	Late    float64 `json:"late_ms"` // at most that late were 99.9 % of the packets
	Missing float64 `json:"missing"` // part of the packets that were left out
	Fine    bool    `json:"fine"`
}

func step(calls int, s Sent) Step {
	due := float64(calls) * s.Took.Seconds() * 1000 / Slots
	late := s.Late.At(0.999)
	missing := max(0, 1-float64(s.Packets)/due)
	return Step{
		Calls: calls, Packet: us(s.Packet()), Busy: s.CPU.Seconds() / s.Took.Seconds(),
		Late: late.Seconds() * 1000, Missing: missing,
		Fine: late <= maxLate && missing <= maxMissing,
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// spareFiles are what parkd opens besides a socket a call, as parkd check reckons.
const spareFiles = 200

func (r Report) filesAllow() int { return max(0, int(min(r.OpenFiles, math.MaxInt32))-spareFiles) }

// Write says in plain words what a report says.
func (r Report) Write(w io.Writer) error {
	who := "while all callers talk"
	if r.Silent {
		who = "while no caller talks"
	}
	fmt.Fprintf(w, "This machine (%d cores) carries the media of %d parked calls %s", r.Cores, r.Calls, who)
	fmt.Fprintln(w, map[string]string{
		"load":       ".",
		"open files": ",\nand more if this process might open more files (ulimit -n, LimitNOFILE=).",
		"ports":      ",\nand more if there were more media.ports.",
		"asked for":  ", and perhaps more: no more were tried.",
		"time":       ", and perhaps more: the time was over.",
	}[r.Limit])
	if r.Disturbed {
		fmt.Fprintln(w, "Do not trust that: even a bare sender was late, so something else takes the CPU just now.")
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CALLS\tCPU A PACKET\tCORES BUSY\tLATE AT 99.9 %\tLEFT OUT\t")
	for _, s := range r.Steps {
		verdict := "fine"
		if !s.Fine {
			verdict = "too many"
		}
		fmt.Fprintf(t, "%d\t%.2f µs\t%.2f\t%.2f ms\t%.2f %%\t%s\n", s.Calls, s.Packet, s.Busy, s.Late, 100*s.Missing, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nA bare sender of %d streams takes %.2f µs of CPU a packet and is late by %.2f ms at 99.9 %%", r.FloorCalls, r.FloorPacket, r.FloorLate)
	if r.FloorRatio > 0 {
		fmt.Fprintf(w, ": parkd's ratio to it is %.2f", r.FloorRatio)
	}
	fmt.Fprintf(w, ".\nA call's media takes %.1f KB of memory; its signalling takes more.\n", r.Memory)
	_, err := fmt.Fprintf(w, "Open files allow %d calls, media.ports %d. The callers' own sending is done here, too: a network card would take less.\n",
		r.filesAllow(), r.PortPairs)
	return err
}

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// floor runs a bare paced sender as a process of its own, to every sink one
// stream, and returns its CPU time a packet.
func floor(s *sinks, window time.Duration) (time.Duration, error) {
	args := []string{"floor", window.String()}
	for _, p := range s.ports {
		args = append(args, strconv.Itoa(p))
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	out, err := exec.Command(self, args...).Output()
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(strings.TrimSpace(string(out)))
}

// floorMain is the sender: as many plain UDP sockets as streams, one thread,
// the phases of 1 ms that music has, one sendto a packet, nothing else.
func floorMain(args []string) {
	runtime.LockOSThread()
	window, err := time.ParseDuration(args[0])
	if err != nil {
		fatal(err)
	}
	const phases = 20
	type stream struct {
		fd int
		to unix.SockaddrInet4
	}
	var streams [phases][]stream
	for i, a := range args[1:] {
		port, err := strconv.Atoi(a)
		if err != nil {
			fatal(err)
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			fatal(err)
		}
		streams[i%phases] = append(streams[i%phases], stream{fd, unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}})
	}
	packet := make([]byte, 172)
	packet[0] = 0x80
	sent := 0
	begin := now()
	for tick := int64(0); tick < window.Milliseconds(); tick++ {
		sleepUntil(begin + tick*1e6)
		for i := range streams[tick%phases] {
			s := &streams[tick%phases][i]
			if unix.Sendto(s.fd, packet, 0, &s.to) == nil {
				sent++
			}
		}
	}
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		fatal(err)
	}
	fmt.Println(time.Duration(u.Utime.Nano()+u.Stime.Nano()) / time.Duration(max(sent, 1)))
}

func now() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "floor:", err)
	os.Exit(1)
}

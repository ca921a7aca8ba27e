//go:build linux

package systemd

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestNotAPacketIsLost kills the process that reads a passed UDP socket again and
// again while datagrams keep coming. All of them are read, in order, by one process
// or the next; of those that were killed, each may have read one that it did not
// get to acknowledge, and none is lost while nobody reads.
func TestNotAPacketIsLost(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	f := file(t, conn, err)
	to, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	s := &sender{to: to}
	s.changed = sync.NewCond(&s.mu)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.stop()
	wg.Go(func() { s.send(t) })

	cut, last, queued := 0, uint32(0), 0
	for run := range kills + 1 {
		queued += s.waitQueued(t)
		first, newest := life(t, f, s, run < kills)
		if first != last+1 && (run == 0 || first != last+2) {
			t.Fatalf("process %d begins with datagram %d, the one before it ended with %d", run, first, last)
		}
		cut += int(first - last - 1)
		last = newest
	}
	if last != total {
		t.Errorf("the last datagram read is %d, want %d", last, total)
	}
	if n := drops(t, conn); n != 0 {
		t.Errorf("the kernel dropped %d datagrams", n)
	}
	t.Logf("%d datagrams, %d processes killed, %d datagrams waited for the next process, %d read and not acknowledged, 0 dropped",
		total, kills, queued, cut)
}

const (
	total  = 6000 // datagrams
	kills  = 10
	window = 150 // datagrams on their way; the smallest usual buffer holds 277
)

// sender numbers datagrams from 1 to total and keeps a window of them on its way.
type sender struct {
	to      net.Conn
	mu      sync.Mutex // guards what is below
	sent    uint32
	acked   uint32
	stopped bool
	changed *sync.Cond
}

func (s *sender) send(t *testing.T) {
	b := make([]byte, 4)
	for n := uint32(1); n <= total; n++ {
		s.mu.Lock()
		for n > s.acked+window && !s.stopped {
			s.changed.Wait()
		}
		stopped := s.stopped
		s.mu.Unlock()
		if stopped {
			return
		}
		binary.BigEndian.PutUint32(b, n)
		if _, err := s.to.Write(b); err != nil {
			t.Errorf("datagram %d: %v", n, err)
			return
		}
		s.mu.Lock()
		s.sent = n
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

func (s *sender) ack(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = n
	s.changed.Broadcast()
}

func (s *sender) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.changed.Broadcast()
}

// waitQueued waits, while nobody reads, until the window is full and tells how many
// datagrams are in the socket.
func (s *sender) waitQueued(t *testing.T) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sent < min(s.acked+window, total) && !t.Failed() {
		s.changed.Wait()
	}
	return int(s.sent - s.acked)
}

// life is that of one process: it reads until it is killed, or the end. It tells
// the numbers of the first and the last datagram that it acknowledged; between
// them none is missing.
func life(t *testing.T, socket *os.File, s *sender, kill bool) (first, newest uint32) {
	t.Helper()
	cmd := child(t, "reader", []*os.File{socket}, "sip")
	acks, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	b := make([]byte, 4)
	for {
		if _, err := io.ReadFull(acks, b); err != nil {
			return first, newest
		}
		n := binary.BigEndian.Uint32(b)
		if first == 0 {
			first = n
		} else if n != newest+1 {
			t.Fatalf("datagram %d follows %d", n, newest)
		}
		newest = n
		s.ack(n)
		if kill && n == first+total/(2*kills) {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// reader acknowledges each datagram before it reads the next.
func reader() {
	sockets, err := Listeners()
	if err != nil || len(sockets) != 1 {
		os.Exit(1)
	}
	b := make([]byte, 64)
	for n := uint32(0); n != total; {
		size, _, err := sockets[0].Packet.ReadFrom(b)
		if err != nil || size != 4 {
			os.Exit(1)
		}
		if _, err := os.Stdout.Write(b[:size]); err != nil {
			os.Exit(1)
		}
		n = binary.BigEndian.Uint32(b)
	}
}

// drops is how many datagrams the kernel threw away for want of room, the last
// column of proc(5), /proc/net/udp.
func drops(t *testing.T, conn net.PacketConn) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	port := strings.ToUpper(strconv.FormatInt(int64(conn.LocalAddr().(*net.UDPAddr).Port), 16))
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 1 && strings.HasSuffix(f[1], ":"+strings.Repeat("0", 4-len(port))+port) {
			n, err := strconv.Atoi(f[len(f)-1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the socket is not in /proc/net/udp")
	return 0
}

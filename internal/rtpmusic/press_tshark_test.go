package rtpmusic

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
)

// captured is a datagram as it came to a phone.
type captured struct {
	b    []byte
	from uint16 // port
	at   time.Time
}

// capture writes packets to the phone at port 4000 as a file of libpcap: raw IPv4.
func capture(got []heardPacket) []byte {
	list := make([]captured, len(got))
	for i, p := range got {
		list[i] = captured{rtpBytes(p.Marker, p.PayloadType, p.SequenceNumber, p.Timestamp, p.SSRC, p.Payload), p.from.Port(), p.at}
	}
	return captureAll(list)
}

// captureAll does that with datagrams as they are.
func captureAll(list []captured) []byte {
	var b bytes.Buffer
	le, be := binary.LittleEndian, binary.BigEndian
	b.Write(le.AppendUint32(nil, 0xa1b2c3d4))
	for _, v := range []uint32{2 | 4<<16, 0, 0, 65535, 101} {
		b.Write(le.AppendUint32(nil, v))
	}
	for _, p := range list {
		udp := be.AppendUint16(nil, p.from)
		udp = be.AppendUint16(udp, 4000)
		udp = be.AppendUint16(udp, uint16(8+len(p.b)))
		udp = append(be.AppendUint16(udp, 0), p.b...)
		ip := be.AppendUint16([]byte{0x45, 0}, uint16(20+len(udp)))
		ip = append(ip, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 3)
		ip = append(ip, udp...)
		for _, v := range []uint32{uint32(p.at.Unix()), uint32(p.at.Nanosecond() / 1000), uint32(len(ip)), uint32(len(ip))} {
			b.Write(le.AppendUint32(nil, v))
		}
		b.Write(ip)
	}
	return b.Bytes()
}

// What is sent of a key, as a program reads it that nobody here wrote.
func TestPressAsTsharkReadsIt(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed; `make test` installs it with the other test peers")
	}
	var file []byte
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		during(5, func(i int) { a.say([]byte("voice")) })
		b.port.Press('#', 60*time.Millisecond)
		during(20, func(i int) { a.say([]byte("voice")) })
		file = capture(b.received())
	})
	cmd := exec.Command(tshark, "-r", "-", "-d", "udp.port==4000,rtp", "-o", "rtpevent.event_payload_type_value:101",
		"-Y", "rtpevent", "-T", "fields", "-e", "rtpevent.event_id", "-e", "rtpevent.end_of_event", "-e", "rtpevent.duration", "-e", "rtp.marker")
	cmd.Stdin = bytes.NewReader(file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer("True", "1", "False", "0").Replace(string(out))
	if want := "11\t0\t160\t1\n11\t0\t320\t0\n11\t1\t480\t0\n11\t1\t480\t0\n11\t1\t480\t0\n"; got != want {
		t.Errorf("tshark reads\n%swant\n%s", got, want)
	}
}

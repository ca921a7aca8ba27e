package presence

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/rs/zerolog"
)

// Over TCP a NOTIFY comes on the connection that the SUBSCRIBE came on, whatever
// the Contact says.
func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := sipua.New(sipua.Options{
		Listeners: []sipua.Listener{{Network: "tcp", Stream: ln}}, Log: zerolog.Nop(),
		Settings: sipua.Settings{Access: sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wheel := dialog.NewWheel()
	defer wheel.Close()
	table := dialog.NewTable(wheel)
	n := New(Options{Endpoint: e, Table: table, Wheel: wheel, Source: &lamps{shown: map[string]string{"701": "ann"}}, Log: zerolog.Nop()})
	e.Handle("SUBSCRIBE", n.Subscribe)
	e.HandleInDialog(table.Request)
	served := make(chan error, 1)
	go func() { served <- e.Serve(context.Background()) }()
	defer func() {
		n.Close()
		e.Shutdown()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "SUBSCRIBE sip:701@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"+
		"From: <sip:bob@example.com>;tag=from\r\nTo: <sip:701@127.0.0.1>\r\nCall-ID: tcp\r\nCSeq: 1 SUBSCRIBE\r\n"+
		"Contact: <sip:bob@127.0.0.2:9;transport=tcp>\r\nEvent: dialog\r\nContent-Length: 0\r\n\r\n", c.LocalAddr())
	in := bufio.NewReader(c)
	if m := message(t, in); !strings.HasPrefix(m, "SIP/2.0 200 ") {
		t.Fatalf("%s", m)
	}
	m := message(t, in)
	if !strings.HasPrefix(m, "NOTIFY sip:bob@127.0.0.2:9;transport=tcp SIP/2.0\r\n") || !strings.Contains(m, "version=0 shown=-ann") {
		t.Errorf("%s", m)
	}
}

// message reads one SIP message off a stream.
func message(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	m, err := read(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func read(in *bufio.Reader) (string, error) {
	var b strings.Builder
	length := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\r\n" && b.Len() == 0 {
			continue // a keep-alive
		}
		b.WriteString(line)
		if v, ok := strings.CutPrefix(strings.ToLower(line), "content-length:"); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return "", err
			}
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(in, body)
	return b.String() + string(body), err
}

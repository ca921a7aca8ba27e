//go:build linux

package main

import (
	"fmt"
	"net"
	"os"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// uasMain answers INVITE, BYE and OPTIONS with 200 until it is ended.
func uasMain(addr string) {
	ua, err := sipgo.NewUA()
	if err != nil {
		fatal(err)
	}
	server, err := sipgo.NewServer(ua)
	if err != nil {
		fatal(err)
	}
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		fatal(err)
	}
	local := conn.LocalAddr().(*net.UDPAddr)
	contact := sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "uas", Host: local.IP.String(), Port: local.Port}}
	ok := func(req *sip.Request, tx sip.ServerTransaction) {
		res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
		res.AppendHeader(contact.Clone())
		if err := tx.Respond(res); err != nil {
			fatal(err)
		}
	}
	server.OnInvite(ok)
	server.OnBye(ok)
	server.OnOptions(ok)
	server.OnAck(func(*sip.Request, sip.ServerTransaction) {})
	fatal(server.ServeUDP(conn))
}

// fatal ends a process of the bench.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

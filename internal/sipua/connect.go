package sipua

// HandleConnect registers who is told that a peer has opened a TCP or TLS
// connection and has sent something over it, be it a keep-alive: from then on
// requests can go back that way. Register before Serve. f runs in the
// connection's reading loop, before what came is handled, and must not block.
func (e *Endpoint) HandleConnect(f func(Flow)) {
	if e.stream != nil {
		e.stream.connect = f
	}
}

// Connected says whether the TCP or TLS connection of a flow stands. It tells
// nothing about whose it is: a port that was given up is given to others.
func (e *Endpoint) Connected(f Flow) bool {
	_, ok := e.liveHop(f)
	return ok
}

// connected passes the first sign of life of an accepted connection on.
func (c *streamConn) connected() {
	e := c.l.e
	if e.stream.connect == nil || e.closed() {
		return
	}
	defer e.recovered("connect")
	e.stream.connect(Flow{Network: c.l.network, Local: addrPort(c.LocalAddr()), Remote: addrPort(c.RemoteAddr())})
}

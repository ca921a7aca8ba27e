package rtpmusic

import "time"

const (
	// portRetry is how long a port that somebody else has bound is left alone.
	portRetry = 10 * time.Second
	// portRest is how long a port is left alone that a call had: longer than a peer
	// goes on sending to which a BYE was lost three times (RFC 3261 17.1.2.1: it is
	// sent again after 0.5, 1 and 2 s). Nobody gets one earlier, even if there is no other: one caller would
	// hear what is said to the next.
	portRest = 5 * time.Second
)

// pool hands out port numbers, the one that has rested longest first, so that
// what a former call's peer still sends finds nobody.
// Numbers that are not its own are none of its business. Every step takes constant
// time: its queues are linked, so that a number leaves the middle of one as it
// leaves the front.
type pool struct {
	first int             // its first number
	nodes []poolNode      // the heads of the queues, then one for each number in their order
	n     [poolQueues]int // how many numbers stand in each queue
}

// The queues of a pool; the head of each is the node of that index.
const (
	freeQueue  uint16 = iota // in the order in which they came to be so
	restQueue                // in the order in which they were given back
	takenQueue               // bound by others, in the order in which that was found
	poolQueues               // how many queues there are
)

// poolNode is what the pool knows of a number. It stands in a queue, which is a ring
// with its head, while nobody has it.
type poolNode struct {
	prev, next uint16
	queue      uint16
	out        uint16        // ports that have it or try to: on several addresses, or in a race
	at         time.Duration // when it joined its queue; in freeQueue of no meaning
}

func newPool(ports [2]uint16) pool {
	p := pool{first: max(int(ports[0])+int(ports[0])%2, 2)}
	size := max((int(ports[1])-p.first+2)/2, 0)
	p.nodes = make([]poolNode, int(poolQueues)+size)
	for q := range poolQueues {
		p.nodes[q].prev, p.nodes[q].next = q, q
	}
	for i := range uint16(size) {
		p.push(poolQueues+i, freeQueue)
	}
	return p
}

// node returns which node a number has; false for one that is not the pool's.
func (p *pool) node(num uint16) (uint16, bool) {
	i := (int(num) - p.first) / 2
	return poolQueues + uint16(i), num%2 == 0 && int(num) >= p.first && i < len(p.nodes)-int(poolQueues)
}

// take takes out a number to try; false if there is none.
func (p *pool) take(now time.Duration) (uint16, bool) {
	p.free(restQueue, now-portRest)
	p.free(takenQueue, now-portRetry)
	i := p.nodes[freeQueue].next
	if i == freeQueue {
		return 0, false
	}
	p.remove(i)
	p.nodes[i].out = 1
	return uint16(p.first + 2*int(i-poolQueues)), true
}

// free puts the first number of a queue among the free ones if it has been there
// since a time. One is enough: no more than one is taken out then.
func (p *pool) free(queue uint16, since time.Duration) {
	if i := p.nodes[queue].next; i != queue && p.nodes[i].at <= since {
		p.remove(i)
		p.push(i, freeQueue)
	}
}

// claim takes out this number, wherever it stands.
func (p *pool) claim(num uint16) {
	i, ok := p.node(num)
	if !ok {
		return
	}
	if p.nodes[i].out == 0 {
		p.remove(i)
	}
	p.nodes[i].out++
}

// give takes back a number that could not be bound for a reason that has nothing to
// do with it.
func (p *pool) give(num uint16) { p.back(num, freeQueue, 0) }

// rest takes back a number that was in use.
func (p *pool) rest(num uint16, now time.Duration) { p.back(num, restQueue, now) }

// refuse takes back a number that could not be bound because somebody else has it.
func (p *pool) refuse(num uint16, now time.Duration) { p.back(num, takenQueue, now) }

// back puts a number that was taken out into a queue, once nobody has it any more.
func (p *pool) back(num, queue uint16, now time.Duration) {
	i, ok := p.node(num)
	if !ok {
		return
	}
	if p.nodes[i].out--; p.nodes[i].out == 0 {
		p.push(i, queue)
		p.nodes[i].at = now
	}
}

// push puts a number's node at the end of a queue.
func (p *pool) push(i, queue uint16) {
	last := p.nodes[queue].prev
	p.nodes[i].prev, p.nodes[i].next, p.nodes[i].queue = last, queue, queue
	p.nodes[last].next, p.nodes[queue].prev = i, i
	p.n[queue]++
}

// remove takes a number's node out of its queue.
func (p *pool) remove(i uint16) {
	e := &p.nodes[i]
	p.nodes[e.prev].next, p.nodes[e.next].prev = e.next, e.prev
	p.n[e.queue]--
}

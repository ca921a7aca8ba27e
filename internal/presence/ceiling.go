package presence

// block is how far ahead a record raises the counters of a subscription: that
// many documents go out before it has to be written again.
const block = 1024

// marks are the counters of a subscription that must never go back or repeat,
// whatever happens to the process: RFC 4235 4.1 (version), RFC 3261 12.2.1.1
// (CSeq).
type marks struct {
	version uint32 // of the next document
	seq     uint32 // the CSeq used last
}

func (m marks) raised(by uint32) marks { return marks{m.version + by, m.seq + by} }

// ceilings say how far the counters may go. A record holds not what they are
// but what they will not exceed, so that a NOTIFY writes nothing and a
// restarted server goes on from there. It is a pure value.
type ceilings struct {
	block uint32
	asked marks // those of the newest record that the journal has been given
	safe  marks // those of the newest one that it has written
}

// raise returns the ceilings for a new record.
func (c *ceilings) raise(now marks) marks {
	c.asked = now.raised(c.block)
	return c.asked
}

// settle: the record with those ceilings is written, or nothing better can be had.
func (c *ceilings) settle(m marks) {
	c.safe = marks{max(c.safe.version, m.version), max(c.safe.seq, m.seq)}
}

// low says that less than half a block is left: time to write the record again,
// without waiting for it.
func (c *ceilings) low(now marks) bool { return c.left(c.asked, now) < c.block/2 }

// spent says that nothing more may be sent before the record is written. A
// little stays for the last document, and for answers to challenges, whose CSeqs
// cannot wait.
func (c *ceilings) spent(now marks) bool { return c.left(c.safe, now) <= c.block/64 }

// waiting says that a record is on its way to the disk.
func (c *ceilings) waiting() bool {
	return c.asked.version > c.safe.version || c.asked.seq > c.safe.seq
}

func (c *ceilings) left(to, now marks) uint32 {
	if to.version < now.version || to.seq < now.seq {
		return 0
	}
	return min(to.version-now.version, to.seq-now.seq)
}

// maxSeq bounds CSeq (RFC 3261 8.1.1.5).
const maxSeq = 1<<31 - 1

// maxRuns bounds the difference of two epochs, which is large once when a journal
// was damaged.
const maxRuns = 1 << 12

// resumed are the counters to go on with in an epoch, and their ceilings, from
// the ceilings of a record that was written in an earlier one. Each epoch after
// that has a block of its own above the record's ceilings, known without a word
// on the disk; so a start writes nothing. In the record's own epoch (its journal
// does not count starts), and after more than maxRuns of them, nothing is free
// before the record is written again. ok is false when the numbers are used up.
func resumed(record marks, written, epoch uint64, block uint32) (now marks, c ceilings, ok bool) {
	c = ceilings{block: block, asked: record, safe: record}
	if epoch <= written {
		return record, c, true
	}
	above := min(epoch-written-1, maxRuns)
	room := (maxSeq - uint64(min(maxSeq, max(record.version, record.seq)))) / uint64(block)
	if above+1 > room {
		return marks{}, c, false
	}
	now = record.raised(uint32(above) * block)
	c.asked, c.safe = now, now
	if above < maxRuns {
		c.asked, c.safe = now.raised(block), now.raised(block)
	}
	return now, c, true
}

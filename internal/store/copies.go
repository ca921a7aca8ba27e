package store

import (
	"encoding/binary"
	"iter"
	"strings"

	"parkd/internal/shrink"
)

// copies are values in memory with the numbers of their records. They are packed
// when there is time, by what values of one kind have in common, whatever they mean:
// docs/decisions/0031.
type copies struct {
	packed map[string]string // by key: number and packed value, in one piece of memory with the key
	plain  map[string]stored // to be packed; what is in both is only valid here
	most   [2]int            // of packed, of plain: shrink's
	kinds  map[string]*dictionary
	packer packer
	room   []byte
}

const (
	maxKinds  = 8  // with a dictionary of their own
	packTurns = 64 // values that are packed while nobody can load
)

func newCopies() *copies {
	return &copies{packed: map[string]string{}, plain: map[string]stored{}, kinds: map[string]*dictionary{}}
}

// put keeps a value, which nobody changes any more, in the place of the one before.
func (c *copies) put(key string, value []byte, number uint64) { c.plain[key] = stored{value, number} }

func (c *copies) delete(key string) {
	c.packed = shrink.Delete(c.packed, &c.most[0], key)
	c.plain = shrink.Delete(c.plain, &c.most[1], key)
}

// pack packs some of what is still to be, and says whether there is more.
func (c *copies) pack() (more bool) {
	n := 0
	for key, s := range c.plain {
		if n++; n > packTurns {
			return true
		}
		d := c.dictionary(key)
		c.room = append(append(c.room[:0], key...), numbered(s.number)...)
		head := len(c.room)
		c.room = d.pack(c.room, &c.packer, key, s.value)
		if d.teaches(s.value, len(c.room)-head) {
			d.learn(s.value)
			c.room = d.pack(c.room[:head], &c.packer, key, s.value)
		}
		whole := string(c.room)
		c.packed[whole[:len(key)]] = whole[len(key):] // which takes this key, too
		c.plain = shrink.Delete(c.plain, &c.most[1], key)
	}
	return false
}

// kind is what a key says of what is under it: <owner>/<kind>/….
func kind(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	name, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return name
}

// dictionary is the one of a key.
func (c *copies) dictionary(key string) *dictionary {
	name := kind(key)
	if d := c.kinds[name]; d != nil {
		return d
	}
	if len(c.kinds) >= maxKinds {
		name = ""
	}
	if c.kinds[name] == nil {
		c.kinds[strings.Clone(name)] = &dictionary{}
	}
	return c.kinds[name]
}

func (c *copies) has(key string) bool {
	_, there := c.number(key)
	return there
}

// number is that of the record of a key.
func (c *copies) number(key string) (n uint64, there bool) {
	if s, there := c.plain[key]; there {
		return s.number, true
	}
	v, there := c.packed[key]
	if !there {
		return 0, false
	}
	return binary.BigEndian.Uint64([]byte(v[:8])), true
}

// get returns a copy of a value that is there.
func (c *copies) get(key string) []byte {
	if s, there := c.plain[key]; there {
		return append([]byte{}, s.value...)
	}
	value, err := c.dictionary(key).unpack(key, []byte(c.packed[key][8:]))
	if err != nil { // it is of this process, in memory that nobody else writes
		panic("store: a packed value cannot be read: " + err.Error())
	}
	return value
}

// keys are all there are, each once.
func (c *copies) keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range c.plain {
			if !yield(k) {
				return
			}
		}
		for k := range c.packed {
			if _, twice := c.plain[k]; !twice && !yield(k) {
				return
			}
		}
	}
}

func (c *copies) len() (n int) {
	for range c.keys() {
		n++
	}
	return n
}

// load returns the values whose keys begin with a prefix.
func (c *copies) load(prefix string) map[string][]byte {
	found := map[string][]byte{}
	for k := range c.keys() {
		if strings.HasPrefix(k, prefix) {
			found[strings.Clone(k)] = c.get(k)
		}
	}
	return found
}

// copiesOf are those of what was read from a file, which it takes over.
func copiesOf(values map[string]stored) *copies {
	c := newCopies()
	c.plain = values
	return c
}

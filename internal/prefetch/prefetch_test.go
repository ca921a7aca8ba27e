package prefetch

import (
	"bytes"
	"testing"
	"unsafe"
)

// Nothing is read or written, and what is not there is no fault.
func TestNothingHappens(t *testing.T) {
	b := bytes.Repeat([]byte{7}, 300)
	for at := range 70 {
		Memory(unsafe.Pointer(&b[at]), uintptr(at))
	}
	if !bytes.Equal(b, bytes.Repeat([]byte{7}, 300)) {
		t.Error("memory has changed")
	}
	Memory(nil, 1000)
	Text("")
	Text("text")
}

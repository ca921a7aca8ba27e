// Package prefetch asks the processor for memory before it is needed. What has been left
// alone for a while is in no cache, and to wait for it piece by piece is most of what many
// small things cost that are done seldom: whoever does them asks for those whose turn
// comes, all their pieces at once.
package prefetch

import "unsafe"

// Memory has the processor fetch so many octets from p on into its cache, and does not
// wait. It reads nothing, so that no mutex is needed for what is there. On processors that
// it does not know it does nothing.
func Memory(p unsafe.Pointer, size uintptr) { memory(p, size) }

// Text does so with a text.
func Text(s string) { memory(unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s))) }

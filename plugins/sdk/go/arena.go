//go:build wasip1

package meter

import "unsafe"

// What host and guest hand each other lies in an arena that is taken straight from linear memory. cabi_realloc must never
// enter Go's allocator: a garbage collection there reads a clock, which is a call of the host, and the component model
// forbids those while arguments are being handed over ("cannot leave component instance"). The arena begins anew with the
// first argument of the next call, so texts of a call must not be kept in variables of the package.

//go:linkname sbrk runtime.sbrk
func sbrk(n uintptr) unsafe.Pointer

const (
	page = 1 << 16
	// Large enough for ordinary inputs at once.
	firstChunk = 1 << 18
)

var (
	arenaBase, arenaNext, arenaEnd uintptr
	// Whether the last call has ended, and its results have been read.
	arenaOver bool
)

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if arenaOver {
		arenaNext, arenaOver = arenaBase, false
	}
	place := bump(size, align)
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(place), size), unsafe.Slice((*byte)(old), min(oldSize, size)))
	}
	return place
}

// bump takes memory that lives until the next call. A chunk that is full is left behind with what is in it.
func bump(size, align uintptr) unsafe.Pointer {
	place := (arenaNext + align - 1) &^ (align - 1)
	if arenaBase == 0 || place+size > arenaEnd {
		// Twice what was there, so that few chunks are left behind.
		chunk := max((size+align+page-1)&^(page-1), 2*(arenaEnd-arenaBase), firstChunk)
		arenaBase = uintptr(sbrk(chunk))
		arenaEnd = arenaBase + chunk
		place = (arenaBase + align - 1) &^ (align - 1)
	}
	arenaNext = place + size
	return unsafe.Pointer(place)
}

// done says that the host will have read the results when it calls again.
func done() { arenaOver = true }

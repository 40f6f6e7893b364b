//go:build wasip1

package meter

import (
	"errors"
	"unsafe"
)

// The canonical ABI of wit/meter.wit, by hand: offsets and sizes are those of its records on a 32-bit memory.

//go:wasmimport tollkeeper:meter/log@0.1.0 write
func hostWrite(level uint32, message unsafe.Pointer, length uint32)

func write(level uint32, message string) {
	hostWrite(level, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

func str(p unsafe.Pointer, n uint32) string { return unsafe.String((*byte)(p), n) }

// at is the word at an offset; a text or list is its address and then its length.
func at(p unsafe.Pointer, offset uintptr) *uint32 { return (*uint32)(unsafe.Add(p, offset)) }

func address(p unsafe.Pointer, offset uintptr) unsafe.Pointer {
	return unsafe.Pointer(uintptr(*at(p, offset)))
}

func text(p unsafe.Pointer, offset uintptr) string {
	return str(address(p, offset), *at(p, offset+4))
}

// list reads the elements of a list.
func list[T any](first unsafe.Pointer, length uint32, size uintptr, read func(unsafe.Pointer) T) []T {
	all := make([]T, length)
	for i := range all {
		all[i] = read(unsafe.Add(first, uintptr(i)*size))
	}
	return all
}

func tagAt(p unsafe.Pointer) Tag { return Tag{text(p, 0), text(p, 8)} }

func labelsAt(p unsafe.Pointer, offset uintptr) Labels {
	return list(address(p, offset), *at(p, offset+4), 16, tagAt)
}

func sampleAt(p unsafe.Pointer) Sample {
	return Sample{text(p, 0), labelsAt(p, 8), *(*float64)(unsafe.Add(p, 16))}
}

func objectAt(p unsafe.Pointer) Object {
	return Object{text(p, 0), text(p, 8), text(p, 16), text(p, 24), text(p, 32), labelsAt(p, 40), text(p, 48)}
}

func dataAt(p unsafe.Pointer) Data {
	switch *(*uint8)(p) {
	case 0:
		return Samples(list(address(p, 8), *at(p, 12), 24, sampleAt))
	case 1:
		return Objects(list(address(p, 8), *at(p, 12), 56, objectAt))
	case 2:
		return Scalar(*(*float64)(unsafe.Add(p, 8)))
	case 3:
		return JSON(text(p, 8))
	default:
		return Unavailable(text(p, 8))
	}
}

// put writes a text or a list: its address and its length.
func put(p unsafe.Pointer, offset uintptr, first unsafe.Pointer, length int) {
	*at(p, offset) = uint32(uintptr(first))
	*at(p, offset+4) = uint32(length)
}

func putText(p unsafe.Pointer, offset uintptr, s string) {
	place := bump(uintptr(len(s)), 1)
	copy(unsafe.Slice((*byte)(place), len(s)), s)
	put(p, offset, place, len(s))
}

// putList writes the elements of a list.
func putList[T any](p unsafe.Pointer, offset uintptr, all []T, size uintptr, write func(unsafe.Pointer, T)) {
	first := bump(uintptr(len(all))*size, 4)
	for i, one := range all {
		write(unsafe.Add(first, uintptr(i)*size), one)
	}
	put(p, offset, first, len(all))
}

func putTag(p unsafe.Pointer, tag Tag) {
	putText(p, 0, tag.Key)
	putText(p, 8, tag.Value)
}

func putReading(p unsafe.Pointer, r reading) {
	putText(p, 0, r.dimension)
	if r.isCounter {
		*at(p, 8) = 0
		putText(p, 20, r.source)
	} else {
		*at(p, 8) = 1
	}
	putText(p, 12, r.amount.String())
	putList(p, 28, r.tags, 16, putTag)
}

func putName(p unsafe.Pointer, name string) { putText(p, 0, name) }

//go:wasmexport tollkeeper:meter/meter@0.1.0#measure
func exportMeasure(
	atText unsafe.Pointer, atLength uint32, seconds uint32, product unsafe.Pointer, productLength uint32,
	config unsafe.Pointer, configLength uint32, state unsafe.Pointer, stateLength uint32,
	inputs unsafe.Pointer, inputsLength uint32,
) unsafe.Pointer {
	tick := rawTick{
		str(atText, atLength), seconds, str(product, productLength), str(config, configLength),
		unsafe.Slice((*byte)(state), stateLength),
	}
	all := make(Inputs, inputsLength)
	for i := uintptr(0); i < uintptr(inputsLength); i++ {
		p := unsafe.Add(inputs, i*24)
		all[text(p, 0)] = dataAt(unsafe.Add(p, 8))
	}
	outcome, err := exported.measure(tick, all)
	defer done()
	result := bump(20, 4)
	if err != nil {
		kind, known := internal, (*failure)(nil)
		if errors.As(err, &known) {
			kind = known.kind
		}
		*at(result, 0), *at(result, 4) = 1, uint32(kind)
		putText(result, 8, err.Error())
		return result
	}
	*at(result, 0) = 0
	putList(result, 4, outcome.readings, 36, putReading)
	place := bump(uintptr(len(outcome.state)), 1)
	copy(unsafe.Slice((*byte)(place), len(outcome.state)), outcome.state)
	put(result, 12, place, len(outcome.state))
	return result
}

//go:wasmexport tollkeeper:meter/describe@0.1.0#get-manifest
func exportManifest() unsafe.Pointer {
	defer done()
	result := bump(40, 4)
	putText(result, 0, exported.name)
	putText(result, 8, exported.version)
	putList(result, 16, exported.dimensions, 8, putName)
	putList(result, 24, exported.inputs, 8, putName)
	putText(result, 32, exported.schema)
	return result
}

//go:wasmexport tollkeeper:meter/describe@0.1.0#validate-config
func exportValidate(config unsafe.Pointer, length uint32) unsafe.Pointer {
	err := exported.validate(str(config, length))
	defer done()
	result := bump(12, 4)
	*at(result, 0) = 0
	if err != nil {
		*at(result, 0) = 1
		putText(result, 4, err.Error())
	}
	return result
}

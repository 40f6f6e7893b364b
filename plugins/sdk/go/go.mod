module tollkeeper.dev/meter

// The first version that can export functions under any name (go:wasmexport).
go 1.24

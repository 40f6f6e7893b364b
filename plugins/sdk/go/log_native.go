//go:build !wasip1

package meter

import (
	"fmt"
	"os"
)

// In a test there is no host.
func write(level uint32, message string) {
	fmt.Fprintln(os.Stderr, [...]string{"debug", "info", "warn", "error"}[level]+": "+message)
}

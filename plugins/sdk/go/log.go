package meter

import "fmt"

// Debug writes a line for whoever looks for an error. Of the log of a call the last 64 KiB are kept.
func Debug(format string, values ...any) { write(0, fmt.Sprintf(format, values...)) }

// Info writes an ordinary line.
func Info(format string, values ...any) { write(1, fmt.Sprintf(format, values...)) }

// Warn writes that something is odd and usage may be incomplete.
func Warn(format string, values ...any) { write(2, fmt.Sprintf(format, values...)) }

// Error writes that something is wrong.
func Error(format string, values ...any) { write(3, fmt.Sprintf(format, values...)) }

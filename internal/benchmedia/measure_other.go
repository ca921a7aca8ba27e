//go:build !linux

package benchmedia

import "context"

// Measure is of Linux only: it returns ErrSystem.
func Measure(context.Context, Options) (Report, error) { return Report{}, ErrSystem }

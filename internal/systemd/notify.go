package systemd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the server serves, at its start or after Reloading.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Reloading says that the configuration is being read again; Ready must follow,
// whether the new one is in force or was refused. Type=notify-reload tells this
// message from one before its SIGHUP by the monotonic clock, in microseconds.
func Reloading() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	return notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Microseconds()))
}

// Stopping says that the server stops.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Status is one line for those who look at the service's state.
func Status(text string) error {
	return notify("STATUS=" + strings.ReplaceAll(text, "\n", " ")) // one assignment a line
}

// Extend keeps the service manager from giving up on a slow start or stop: until
// ctx ends it is told, twice a step, to wait for step more. When the server hangs,
// and with it whoever would end ctx, the caller's ctx should have an end of its own.
func Extend(ctx context.Context, step time.Duration) error {
	tick := time.NewTicker(step / 2)
	defer tick.Stop()
	for {
		if err := notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", step.Microseconds())); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// notify sends assignments, one a line, where NOTIFY_SOCKET says.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

package systemd

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog tells the service manager, where it wants to know (WATCHDOG_USEC), that
// the server is alive, until ctx ends. Half the interval after each ping it asks
// alive, which has the other half to answer; without a nil in that time there is
// no ping, and the service manager ends the process when the interval is over.
// alive returns at the latest when its context ends. A ping that cannot be sent is
// like an answer that was not given: the next one is tried.
func Watchdog(ctx context.Context, alive func(context.Context) error) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return err
	}
	half := interval / 2
	wait := time.NewTimer(half)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		if answers(ctx, half, alive) {
			_ = notify(daemon.SdNotifyWatchdog)
		}
		wait.Reset(half)
	}
}

// answers tells whether alive says so within the limit.
func answers(ctx context.Context, limit time.Duration, alive func(context.Context) error) bool {
	asked, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return alive(asked) == nil && asked.Err() == nil
}

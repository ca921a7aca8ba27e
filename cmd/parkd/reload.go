package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"parkd/internal/config"
	"parkd/internal/config/watch"
)

// reloadTimeout bounds a reload that a signal or a changed file asked for.
const reloadTimeout = time.Minute

// reloader is the server, to whoever wants it to read its configuration anew. It
// says itself what came of it.
type reloader interface {
	Reload(context.Context) (config.Changes, error)
}

// reloading has the running server read its configuration anew, at SIGHUP and when a
// file of the configuration changes.
type reloading struct {
	flags   *pflag.FlagSet
	log     zerolog.Logger
	server  reloader      // set before serving is closed
	serving chan struct{} // closed by ready: what was asked for until then waits for it
	again   chan struct{} // the files to watch may be others; holds one

	mu    sync.Mutex // leaf; guards all below
	last  config.Config
	files map[string]watch.State // what is watched
}

func newReloading(cfg config.Config, flags *pflag.FlagSet, log zerolog.Logger) *reloading {
	r := &reloading{flags: flags, log: log, serving: make(chan struct{}), again: make(chan struct{}, 1)}
	r.take(cfg)
	return r
}

// ready is called once, when the server serves.
func (r *reloading) ready() { close(r.serving) }

// load reads the configuration that this process runs by anew: the same file, the
// environment and the flags. Whoever asks for it, the files that the answer names
// are watched from then on, and after a fault those that would mend it.
func (r *reloading) load() (config.Config, error) {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	cfg, err := config.Reload(&last, r.flags)
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults config.Faults
	switch {
	case err == nil:
		r.take(cfg)
	case errors.As(err, &faults):
		r.take(r.last)
		for _, path := range faults.Missing() {
			r.files[path] = watch.State{}
		}
	}
	select {
	case r.again <- struct{}{}:
	default: // is to be asked anyway
	}
	return cfg, err
}

// take makes a configuration the last one. Files that it is the first to name are
// looked at before the server reads them, so that no change falls in between.
func (r *reloading) take(cfg config.Config) {
	files := map[string]watch.State{}
	for _, path := range cfg.Files() {
		state, known := r.files[path]
		if !known {
			state = watch.Look(path)
		}
		files[path] = state
	}
	r.last, r.files = cfg, files
}

func (r *reloading) watched() map[string]watch.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.files)
}

// start takes SIGHUP, which would end the process, and watches files, until stop.
func (r *reloading) start() (stop func()) {
	hangups := make(chan os.Signal, 1) // any number of them are one
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-hangups:
				r.reload(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	wg.Go(func() {
		watch.Watch(ctx, watch.Options{
			Files: r.watched, Changed: func() { r.reload(ctx) }, Again: r.again,
			Failed: func(err error) {
				r.log.Warn().Err(err).Msg("changed files are noticed late, SIGHUP reloads at once")
			},
		})
	})
	return func() {
		signal.Stop(hangups)
		cancel()
		wg.Wait()
	}
}

// reload asks the server, once it serves. What comes of it the server logs and shows.
func (r *reloading) reload(ctx context.Context) {
	select {
	case <-r.serving:
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	_, _ = r.server.Reload(ctx)
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"parkd/internal/server"
)

// serve runs the server until the first SIGTERM or SIGINT, which drains it; a
// second one ends the process at once.
func serve(cmd *cobra.Command, _ []string) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	log := newLog(cfg.Log, cmd.ErrOrStderr())
	sip.SetDefaultLogger(sipgoLog(log)) // before anything of sipgo is used
	for _, w := range cfg.Warnings() {
		log.Warn().Str("detail", w).Msg("configuration warning")
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal does what it does by itself
	defer ignoreHangup(log)()
	if err := server.Run(ctx, cfg, log, version()); err != nil {
		log.Error().Err(err).Msg("parkd failed")
		return failure{fmt.Errorf("%w: %w", errReported, err)}
	}
	log.Info().Msg("stopped")
	return nil
}

// ignoreHangup keeps SIGHUP, which asks servers to read their configuration again,
// from ending the process and its calls. The function that it returns undoes it.
func ignoreHangup(log zerolog.Logger) (undo func()) {
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
				log.Warn().Msg("a changed configuration takes effect at the next start only")
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

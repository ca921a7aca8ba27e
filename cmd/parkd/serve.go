package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/emiago/sipgo/sip"
	"github.com/spf13/cobra"

	"parkd/internal/server"
)

// serve runs the server until the first SIGTERM or SIGINT, which ends it as the key
// shutdown says; a second one ends the process at once. SIGHUP and changed files
// have it read its configuration anew.
func serve(cmd *cobra.Command, _ []string) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	log := newLog(cfg.Log, cmd.ErrOrStderr())
	setLevel(cfg.Log.Level)
	sip.SetDefaultLogger(sipgoLog(log)) // before anything of sipgo is used
	for _, w := range cfg.Warnings() {
		log.Warn().Str("detail", w).Msg("configuration warning")
	}

	collectSeldom()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal does what it does by itself
	r := newReloading(cfg, cmd.Flags(), log)
	defer r.start()()
	srv, err := server.New(server.Options{
		Config: cfg, Version: version(), Log: log, Load: r.load, Level: setLevel, Ready: r.ready,
	})
	if err == nil {
		r.server = srv
		err = srv.Run(ctx)
	}
	if err != nil {
		log.Error().Err(err).Msg("parkd failed")
		return failure{fmt.Errorf("%w: %w", errReported, err)}
	}
	log.Info().Msg("stopped")
	return nil
}

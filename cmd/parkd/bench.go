package main

import (
	"encoding/json"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"parkd/internal/benchmedia"
)

func newBench() *cobra.Command {
	bench := &cobra.Command{
		Use: "bench", Short: "Measure how much this machine carries", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return errors.New("bench media") },
	}
	media := &cobra.Command{
		Use: "media", Short: "Find out how many parked calls this machine can send music to",
		Long: `Find out how many parked calls this machine can send music to.

It needs no running parkd, and takes as much CPU as it gets: it is not for a machine
that has calls. It keeps to the loopback interface and ends by itself, or when it is
interrupted, with what it knows then. Ports are those of media.ports.`,
		Args: cobra.NoArgs, RunE: benchMedia,
	}
	media.Flags().Bool("json", false, "as JSON: {\"calls\": 4000, \"steps\": [...], ...}")
	media.Flags().Bool("silent", false, "callers do not talk")
	media.Flags().Int("calls", 0, "try at most `N` calls; 0 = as many as there may be")
	media.Flags().Duration("time", 30*time.Second, "about how long it may take")
	bench.AddCommand(media)
	return bench
}

func benchMedia(cmd *cobra.Command, _ []string) error {
	var o benchmedia.Options
	var asJSON bool
	flags := cmd.Flags()
	var faults [4]error
	asJSON, faults[0] = flags.GetBool("json")
	o.Silent, faults[1] = flags.GetBool("silent")
	o.Calls, faults[2] = flags.GetInt("calls")
	o.Time, faults[3] = flags.GetDuration("time")
	if err := errors.Join(faults[:]...); err != nil {
		return err
	}
	if o.Calls < 0 || o.Time <= 0 {
		return errors.New("--calls is 0 or more, --time more than 0")
	}
	c, err := load(cmd)
	if err != nil {
		return err
	}
	o.Ports = [2]uint16{c.Media.Ports.Low, c.Media.Ports.High}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, err := benchmedia.Measure(ctx, o)
	if err != nil {
		return failure{err}
	}
	if !asJSON {
		err = r.Write(cmd.OutOrStdout())
	} else {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		err = e.Encode(r)
	}
	if err != nil {
		return failure{err}
	}
	return nil
}

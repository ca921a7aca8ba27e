package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"parkd/internal/config"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1 // while running
	exitUsage  = 2 // wrong usage or configuration
)

// failure is an error while running, as opposed to one of usage.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// errReported ends a command whose fault has been shown already.
var errReported = errors.New("reported")

// run is the program; the result is its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitFine
	}
	if !errors.Is(err, errReported) {
		var faults config.Faults
		if errors.As(err, &faults) {
			fmt.Fprintln(stderr, faults)
		} else {
			fmt.Fprintln(stderr, "parkd:", err)
		}
	}
	if errors.As(err, new(failure)) {
		return exitFailed
	}
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "parkd",
		Short: "SIP call-park server with lamps that show who is parked",
		Long: `parkd parks SIP calls, shows them on lamps, and gives them back.

Without -c it reads ./parkd.yaml, then /etc/parkd/parkd.yaml, else it runs with
built-in defaults. Every key with a value of its own is also an environment
variable (PARKD_PARK_MAX_CALLS) and a flag (--park-max-calls).`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          serve,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringP("config", "c", "", "configuration `FILE`")
	flags.SortFlags = false
	config.Flags(flags)
	root.AddCommand(
		&cobra.Command{Use: "serve", Short: "Run the server (the default)", Args: cobra.NoArgs, RunE: serve},
		&cobra.Command{Use: "check", Short: "Check the configuration", Args: cobra.NoArgs, RunE: check},
		&cobra.Command{Use: "config", Short: "Print the effective configuration, secrets masked", Args: cobra.NoArgs, RunE: printConfig},
		newStatus(),
		newLamps(),
		newCall(),
		newReload(),
		newBench(),
		&cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: printVersion},
	)
	return root
}

// load reads the configuration that the flags of a command ask for.
func load(cmd *cobra.Command) (config.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, err
	}
	return config.Load(path, cmd.Flags())
}

// check prints every fault and warning, the faults being what it is asked for.
func check(cmd *cobra.Command, _ []string) error {
	out := cmd.OutOrStdout()
	cfg, err := load(cmd)
	if err != nil {
		fmt.Fprintln(out, err)
		return errReported
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(out, "warning:", w)
	}
	name := cfg.File
	if name == "" {
		name = "built-in defaults"
	}
	fmt.Fprintf(out, "%s: fine, %d orbits\n", name, len(cfg.Orbits))
	return nil
}

func printConfig(cmd *cobra.Command, _ []string) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	text, err := cfg.YAML()
	if err != nil {
		return failure{err}
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

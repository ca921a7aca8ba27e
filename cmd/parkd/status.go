package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show orbits and parked calls of the running server", Args: cobra.NoArgs, RunE: status}
	cmd.Flags().Bool("json", false, "as JSON: {\"orbits\": [...], \"calls\": [...], \"pools\": [...], \"status\": {...}}")
	return cmd
}

// answers are what the running server answers to /api/v1/orbits, /api/v1/calls,
// /api/v1/pools and /api/v1/status.
type answers struct {
	Calls  json.RawMessage `json:"calls"`
	Orbits json.RawMessage `json:"orbits"`
	// A server of an older version has none of these.
	Pools         json.RawMessage `json:"pools,omitempty"`
	Registrations json.RawMessage `json:"registrations,omitempty"`
	Status        json.RawMessage `json:"status,omitempty"`
}

// status shows orbits and calls, and below them what an operator has to know.
func status(cmd *cobra.Command, _ []string) error {
	c, asJSON, err := newViewer(cmd)
	if err != nil {
		return err
	}
	var a answers
	for _, get := range []struct {
		path string
		to   *json.RawMessage
	}{
		{"/api/v1/orbits", &a.Orbits}, {"/api/v1/calls", &a.Calls}, {"/api/v1/pools", &a.Pools},
		{"/api/v1/status", &a.Status}, {"/api/v1/registrations", &a.Registrations},
	} {
		*get.to, err = c.do(cmd.Context(), http.MethodGet, get.path)
		var no refused
		newer := get.to != &a.Orbits && get.to != &a.Calls
		if newer && errors.As(err, &no) && no.status == http.StatusNotFound {
			err = nil
		}
		if err != nil {
			return failure{err}
		}
	}
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), a)
	} else {
		err = writeStatus(cmd.OutOrStdout(), time.Now(), a)
	}
	if err != nil {
		return failure{fmt.Errorf("the running server's answer: %w", err)}
	}
	return nil
}

func writeJSON(w io.Writer, a answers) error {
	all, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return indent(w, all)
}

// state is what is shown of the server's own state.
type state struct {
	Journal struct {
		Fault string `json:"fault"`
	} `json:"journal"`
	Reload struct {
		At      time.Time `json:"at"`
		Restart []string  `json:"restart"`
		Faults  []string  `json:"faults"`
	} `json:"reload"`
}

// writeStatus writes the tables, and below them what is wrong or waits for the next
// start, if anything is.
func writeStatus(w io.Writer, now time.Time, a answers) error {
	if err := writeTables(w, now, a); err != nil {
		return err
	}
	if err := writeRegistrations(w, now, a.Registrations); err != nil || a.Status == nil {
		return err
	}
	var s state
	if err := json.Unmarshal(a.Status, &s); err != nil {
		return err
	}
	var out strings.Builder
	if s.Journal.Fault != "" {
		fmt.Fprintf(&out, "\nThe journal can't be written, calls are in memory only:\n  %s\n", printable(s.Journal.Fault))
	}
	if len(s.Reload.Faults) > 0 {
		fmt.Fprintf(&out, "\nThe configuration on disk has faults, found %s ago; the one before is in force:\n", age(now, s.Reload.At))
		for _, f := range s.Reload.Faults {
			fmt.Fprintf(&out, "  %s\n", printable(f))
		}
	}
	if len(s.Reload.Restart) > 0 {
		fmt.Fprintf(&out, "\nThese changes wait for the next start:\n")
		for _, key := range s.Reload.Restart {
			fmt.Fprintf(&out, "  %s\n", printable(key))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func newReload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Have the running server read its configuration anew", Args: cobra.NoArgs, RunE: reload,
	}
}

// reload asks for a reload and says what has changed, or what is wrong.
func reload(cmd *cobra.Command, _ []string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	answer, err := c.do(cmd.Context(), http.MethodPost, "/api/v1/reload")
	var no refused
	if errors.As(err, &no) && len(no.faults) > 0 {
		for _, f := range no.faults {
			fmt.Fprintln(cmd.ErrOrStderr(), printable(f))
		}
		return errReported
	}
	if err != nil {
		return failure{err}
	}
	var done struct{ Changed, Restart []string }
	if err := json.Unmarshal(answer, &done); err != nil {
		return failure{fmt.Errorf("the running server's answer: %w", err)}
	}
	return writeReloaded(cmd.OutOrStdout(), done.Changed, done.Restart)
}

// writeReloaded writes a line for each key that changed.
func writeReloaded(w io.Writer, changed, restart []string) error {
	waits := map[string]bool{}
	for _, key := range restart {
		waits[key] = true
	}
	var out strings.Builder
	for _, key := range changed {
		if !waits[key] {
			fmt.Fprintf(&out, "changed: %s\n", printable(key))
		}
	}
	for _, key := range restart {
		fmt.Fprintf(&out, "changed at the next start: %s\n", printable(key))
	}
	if out.Len() == 0 {
		out.WriteString("reloaded, no key has changed\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

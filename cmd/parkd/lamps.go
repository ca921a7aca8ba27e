package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newLamps() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lamps [ORBIT]", Short: "Show who watches which lamp of the running server, and what they answer",
		Args: cobra.MaximumNArgs(1), RunE: lamps,
	}
	cmd.Flags().Bool("json", false, "as JSON: [{\"resource\": \"701\", \"watcher\": ...}, ...]")
	trace := &cobra.Command{
		Use: "trace ORBIT", Short: "Follow one lamp live, until interrupted",
		Args: cobra.ExactArgs(1), RunE: traceLamp,
	}
	trace.Flags().Bool("json", false, "as JSON, an object a line")
	cmd.AddCommand(trace)
	return cmd
}

// lamp is what the table shows of a subscription.
type lamp struct {
	Resource string    `json:"resource"`
	List     bool      `json:"list"`
	Event    string    `json:"event"`
	Watcher  string    `json:"watcher"`
	Source   string    `json:"source"`
	Agent    string    `json:"agent"`
	Since    time.Time `json:"since"`
	Expires  time.Time `json:"expires"`
	Told     time.Time `json:"told"`
	Answer   int       `json:"answer"`
	Shown    string    `json:"shown"`
	Lit      int       `json:"lit"`
	Silent   bool      `json:"silent"`
}

// lamps lists the subscriptions, all or those to one orbit.
func lamps(cmd *cobra.Command, args []string) error {
	c, asJSON, err := newViewer(cmd)
	if err != nil {
		return err
	}
	path := "/api/v1/lamps"
	if len(args) > 0 {
		path += "?resource=" + url.QueryEscape(args[0])
	}
	answer, err := c.do(cmd.Context(), http.MethodGet, path)
	if err != nil {
		return failure{err}
	}
	var list []lamp
	if err := json.Unmarshal(answer, &list); err != nil {
		return failure{fmt.Errorf("the running server's answer: %w", err)}
	}
	if !asJSON {
		return writeLamps(cmd.OutOrStdout(), time.Now(), list)
	}
	if err := indent(cmd.OutOrStdout(), answer); err != nil {
		return failure{err}
	}
	return nil
}

func writeLamps(w io.Writer, now time.Time, list []lamp) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row(t, "ORBIT", "EVENT", "WATCHER", "ADDRESS", "AGENT", "FOR", "EXPIRES IN", "TOLD", "ANSWER", "SHOWS")
	for _, l := range list {
		told := "-"
		if !l.Told.IsZero() {
			told = age(now, l.Told) + " ago"
		}
		row(t, l.what(), l.Event, l.Watcher, l.Source, l.Agent, age(now, l.Since), age(now, l.Expires), told, l.answer(), l.shows())
	}
	return t.Flush()
}

// answer is what the watcher has answered to the last NOTIFY.
func (l *lamp) answer() string {
	switch {
	case l.Silent:
		return "silent"
	case l.Answer == 0:
		return "none yet"
	}
	return fmt.Sprint(l.Answer)
}

// what is what is watched.
func (l *lamp) what() string {
	if l.List {
		return l.Resource + " (list)"
	}
	return l.Resource
}

// shows says whether the lamp is lit, as far as its watcher has answered; of a list,
// how many are.
func (l *lamp) shows() string {
	switch {
	case l.Lit > 1:
		return fmt.Sprint(l.Lit, " calls")
	case l.Shown == "" && l.Lit == 0:
		return "no call"
	}
	return "a call"
}

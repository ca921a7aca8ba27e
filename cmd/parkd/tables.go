package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// orbit and call are what the tables show of the HTTP interface's answers.
type orbit struct {
	Extension string `json:"extension"`
	Name      string `json:"name"`
	Enabled   bool   `json:"enabled"`
	State     string `json:"state"`
	Music     string `json:"music"`
	Calls     []call `json:"calls"`
	Watchers  int    `json:"watchers"`
}

type call struct {
	ID     string `json:"id"`
	Orbit  string `json:"orbit"`
	State  string `json:"state"`
	Caller struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
	} `json:"caller"`
	ParkedBy  string    `json:"parked_by"`
	Since     time.Time `json:"since"`
	ReturnsAt time.Time `json:"returns_at"`
	Codec     string    `json:"codec"`
}

type pool struct {
	Extension string `json:"extension"`
	Free      int    `json:"free"`
	Total     int    `json:"total"`
	Watchers  int    `json:"watchers"`
}

// writeTables writes one table of orbits and, if there are any, one of pools and one
// of calls.
func writeTables(w io.Writer, now time.Time, a answers) error {
	var orbits []orbit
	if err := json.Unmarshal(a.Orbits, &orbits); err != nil {
		return err
	}
	var calls []call
	if err := json.Unmarshal(a.Calls, &calls); err != nil {
		return err
	}
	var pools []pool
	if a.Pools != nil {
		if err := json.Unmarshal(a.Pools, &pools); err != nil {
			return err
		}
	}
	at := map[string]string{} // orbit by call, should the list of calls not say it
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row(t, "ORBIT", "NAME", "STATE", "CALLS", "WATCHERS", "MUSIC")
	for _, o := range orbits {
		if !o.Enabled {
			o.State = "disabled"
		}
		row(t, o.Extension, o.Name, o.State, fmt.Sprint(len(o.Calls)), fmt.Sprint(o.Watchers), o.Music)
		for _, c := range o.Calls {
			at[c.ID] = o.Extension
		}
	}
	if len(pools) > 0 {
		fmt.Fprintln(t)
		row(t, "POOL", "FREE", "OF", "WATCHERS")
	}
	for _, p := range pools {
		row(t, p.Extension, fmt.Sprint(p.Free), fmt.Sprint(p.Total), fmt.Sprint(p.Watchers))
	}
	if len(calls) > 0 {
		fmt.Fprintln(t)
		row(t, "CALL", "ORBIT", "STATE", "CALLER", "PARKED BY", "FOR", "RETURNS IN", "CODEC")
	}
	for _, c := range calls {
		if c.Orbit == "" {
			c.Orbit = at[c.ID]
		}
		row(t, c.ID, c.Orbit, c.State, caller(c), c.ParkedBy, age(now, c.Since), age(now, c.ReturnsAt), c.Codec)
	}
	return t.Flush()
}

// registration is what the table shows of a registration.
type registration struct {
	AOR       string    `json:"aor"`
	Registrar string    `json:"registrar"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires_at"`
	Error     string    `json:"error"`
}

// writeRegistrations writes the table of registrations, if there are any.
func writeRegistrations(w io.Writer, now time.Time, listJSON json.RawMessage) error {
	var list []registration
	if listJSON == nil {
		return nil
	}
	if err := json.Unmarshal(listJSON, &list); err != nil || len(list) == 0 {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	row(t, "ACCOUNT", "REGISTRAR", "STATE", "FOR", "EXPIRES IN", "ERROR")
	for _, r := range list {
		row(t, r.AOR, r.Registrar, r.State, age(now, r.Since), age(now, r.Expires), r.Error)
	}
	return t.Flush()
}

// row writes the cells of one line; what is empty is a dash.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		if cells[i] = printable(c); cells[i] == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func caller(c call) string {
	if c.Caller.Name == "" {
		return c.Caller.URI
	}
	return c.Caller.Name + " <" + c.Caller.URI + ">"
}

// printable takes out what would command a terminal or break a table: names come
// from strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// age is how long ago t was, or how long it is until then, to the second.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return now.Sub(t).Abs().Round(time.Second).String()
}

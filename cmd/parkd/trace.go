package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	lull    = 45 * time.Second // three heartbeats of the server's: it is not there any more
	again   = 2 * time.Second  // until a stream that broke off is taken up, where it does not say
	maxLine = 1 << 20
)

// traceLamp follows a lamp until it is interrupted, across restarts of the server.
func traceLamp(cmd *cobra.Command, args []string) error {
	c, asJSON, err := newViewer(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	f := &following{out: cmd.OutOrStdout(), json: asJSON, again: again}
	path := "/api/v1/lamps/" + url.PathEscape(args[0]) + "/trace"
	for known := false; ; {
		began, err := c.follow(ctx, path, f)
		var no refused
		switch {
		case ctx.Err() != nil:
			return nil
		case f.failed != nil:
			return failure{f.failed}
		case !began && (!known || errors.As(err, &no)):
			return failure{err}
		case began:
			known = true
			fmt.Fprintln(cmd.ErrOrStderr(), "parkd: the trace broke off, trying again")
		}
		select {
		case <-time.After(f.again):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow reads a stream of server-sent events (WHATWG HTML 9.2) until it ends, or
// what comes of it cannot be written.
func (c *client) follow(ctx context.Context, path string, f *following) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(lull, cancel)
	defer quiet.Stop()
	res, err := c.send(ctx, http.MethodGet, path)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		quiet.Reset(lull)
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "retry": // milliseconds
			if ms, err := strconv.Atoi(value); err == nil {
				f.again = time.Duration(ms) * time.Millisecond
			}
		case "data":
			if !f.line([]byte(value)) {
				return true, nil
			}
		}
	}
	return true, lines.Err()
}

// following writes what comes of a trace.
type following struct {
	out    io.Writer
	json   bool
	again  time.Duration
	state  string // last shown
	failed error  // of writing, or an answer that is none
}

// step is what is shown of an event of a trace.
type step struct {
	Type    string    `json:"type"`
	Time    time.Time `json:"time"`
	Orbit   string    `json:"orbit"`
	Call    string    `json:"call"`
	State   string    `json:"state"`
	Detail  string    `json:"detail"`
	List    string    `json:"list"`
	Event   string    `json:"event"`
	Watcher string    `json:"watcher"`
	Source  string    `json:"source"`
	Agent   string    `json:"agent"`
	CSeq    uint32    `json:"cseq"`
	Version uint32    `json:"version"`
	Shown   string    `json:"shown"`
	Code    int       `json:"code"`
	Seconds float64   `json:"seconds"`
	Expires int       `json:"expires"`
}

// line writes an event and reports whether the next is wanted.
func (f *following) line(data []byte) bool {
	text := string(data)
	if !f.json {
		var s step
		if f.failed = json.Unmarshal(data, &s); f.failed != nil {
			f.failed = fmt.Errorf("the running server's answer: %w", f.failed)
			return false
		}
		if s.Type == "lamp" {
			now := s.State + " " + s.Call
			if now == f.state { // something of the orbit that no lamp shows
				return true
			}
			f.state = now
		}
		text = s.Time.Local().Format("15:04:05.000") + "  " + s.text()
	}
	_, f.failed = fmt.Fprintln(f.out, text)
	return f.failed == nil
}

// text is an event in words.
func (s *step) text() string {
	who := printable(s.Watcher) + " at " + printable(s.Source)
	if s.List != "" {
		who += " by list " + printable(s.List)
	}
	switch s.Type {
	case "lamp":
		switch {
		case s.Call == "" && s.State == "parked":
			return fmt.Sprintf("%s is parked: the call is being fetched", printable(s.Orbit))
		case s.Call == "":
			return fmt.Sprintf("%s is %s", printable(s.Orbit), printable(s.State))
		}
		return fmt.Sprintf("%s is %s: call %s", printable(s.Orbit), printable(s.State), printable(s.Call))
	case "watcher", "subscribed", "refreshed":
		return fmt.Sprintf("%-10s  %s, %s, for %s%s", s.Type, who, printable(s.Event), time.Duration(s.Expires)*time.Second, agent(s.Agent))
	case "notify":
		return fmt.Sprintf("NOTIFY %-3d  to %s, version %d%s", s.CSeq, who, s.Version, s.shows())
	case "answer":
		took := " late"
		if s.Seconds > 0 {
			took = " after " + time.Duration(s.Seconds*float64(time.Second)).Round(10*time.Microsecond).String()
		}
		return fmt.Sprintf("%-10d  to NOTIFY %d from %s%s", s.Code, s.CSeq, who, took)
	case "unanswered":
		return fmt.Sprintf("no answer   to NOTIFY %d from %s", s.CSeq, who)
	}
	text := fmt.Sprintf("%-10s  %s", printable(s.Type), who)
	if s.Detail != "" {
		text += ", " + printable(s.Detail)
	}
	if s.Code != 0 {
		text += fmt.Sprintf(" %d", s.Code)
	}
	return text
}

func (s *step) shows() string {
	switch {
	case s.List != "" && s.List == s.Orbit: // of a list as such
		return ""
	case s.Shown == "":
		return ", shows no call"
	}
	return ", shows a call"
}

func agent(name string) string {
	if name == "" {
		return ""
	}
	return ", " + printable(name)
}

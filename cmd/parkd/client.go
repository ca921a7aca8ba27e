package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"parkd/internal/config"
)

// An answer of the running server that is later or larger than these is none.
const (
	clientTimeout = 10 * time.Second
	maxAnswer     = 64 << 20
)

var errNoAdmin = errors.New("the HTTP interface is off: admin.listen is empty")

// client talks to the HTTP interface of the running server.
type client struct {
	base, password string
}

func newClient(c config.Admin) (*client, error) {
	if c.Listen == "" {
		return nil, errNoAdmin
	}
	return &client{base: c.URL(), password: c.Password.Reveal()}, nil
}

// do sends a request and returns the body of its answer. A refusal is an error
// that says why.
func (c *client) do(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	if c.password != "" {
		req.SetBasicAuth("admin", c.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("is parkd running? %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, refusal(res, body)
	}
	return body, nil
}

// refusal reads a problem document (RFC 9457 3.1).
func refusal(res *http.Response, body []byte) error {
	var problem struct{ Title, Detail string }
	_ = json.Unmarshal(body, &problem) // what is no problem document has its status
	switch {
	case problem.Detail != "":
		return errors.New(printable(problem.Detail))
	case problem.Title != "":
		return errors.New(printable(problem.Title))
	case res.StatusCode == http.StatusUnauthorized:
		return errors.New("the running server has another admin.password")
	}
	return fmt.Errorf("the running server answered %s", res.Status)
}

func newCall() *cobra.Command {
	call := &cobra.Command{
		Use: "call", Short: "Return or drop one call of the running server", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return errors.New("call return ID, or call drop ID") },
	}
	call.AddCommand(
		&cobra.Command{
			Use: "return ID", Short: "Send a parked call back to whoever parked it", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return callDo(cmd, http.MethodPost, args[0], "/return", "goes back to its parker")
			},
		},
		&cobra.Command{
			Use: "drop ID", Short: "End a call", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return callDo(cmd, http.MethodDelete, args[0], "", "is ended")
			},
		},
	)
	return call
}

// callDo asks for something to be done with one call and says that it is.
func callDo(cmd *cobra.Command, method, id, action, done string) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	c, err := newClient(cfg.Admin)
	if err != nil {
		return err
	}
	if _, err := c.do(cmd.Context(), method, "/api/v1/calls/"+url.PathEscape(id)+action); err != nil {
		return failure{err}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "call %s %s\n", id, done)
	return err
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show orbits and parked calls of the running server", Args: cobra.NoArgs, RunE: status}
	cmd.Flags().Bool("json", false, "as JSON: {\"orbits\": [...], \"calls\": [...]}")
	return cmd
}

// status shows what the running server answers to /api/v1/orbits and /api/v1/calls.
func status(cmd *cobra.Command, _ []string) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	c, err := newClient(cfg.Admin)
	if err != nil {
		return err
	}
	var answers [2]json.RawMessage
	for i, path := range []string{"/api/v1/orbits", "/api/v1/calls"} {
		if answers[i], err = c.do(cmd.Context(), http.MethodGet, path); err != nil {
			return failure{err}
		}
	}
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), answers[0], answers[1])
	} else {
		err = writeTables(cmd.OutOrStdout(), time.Now(), answers[0], answers[1])
	}
	if err != nil {
		return failure{fmt.Errorf("the running server's answer: %w", err)}
	}
	return nil
}

func writeJSON(w io.Writer, orbits, calls json.RawMessage) error {
	both, err := json.Marshal(map[string]json.RawMessage{"orbits": orbits, "calls": calls})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, both, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = out.WriteTo(w)
	return err
}

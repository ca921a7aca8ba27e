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
	clientTimeout = 30 * time.Second // a reload reads music anew
	maxAnswer     = 64 << 20
)

var errNoAdmin = errors.New("the HTTP interface is off: admin.listen is empty")

// client talks to the HTTP interface of the running server.
type client struct {
	base, password string

	// faults are those of the configuration that says where the server is. They
	// are elsewhere in it, or its file can't be read and does not say so.
	faults error
}

// newClient finds the running server by the configuration that the flags of a
// command ask for. It may have any fault but one of where the server is: telling
// of faults is what the server may be asked for.
func newClient(cmd *cobra.Command) (*client, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	c, err := config.LoadAdmin(path, cmd.Flags())
	if err != nil {
		return nil, err
	}
	if c.Listen == "" {
		return nil, errNoAdmin
	}
	_, faults := load(cmd)
	return &client{base: c.URL(), password: c.Password.Reveal(), faults: faults}, nil
}

// newViewer is newClient for a command that shows something, as JSON if its flag says
// so.
func newViewer(cmd *cobra.Command) (c *client, asJSON bool, err error) {
	if asJSON, err = cmd.Flags().GetBool("json"); err != nil {
		return nil, false, err
	}
	c, err = newClient(cmd)
	return c, asJSON, err
}

// indent writes JSON for people.
func indent(w io.Writer, text []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(text), "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}

// do sends a request and returns the body of its answer. A refusal is an error
// that says why.
func (c *client) do(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	res, err := c.send(ctx, method, path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, maxAnswer))
}

// send sends a request and returns its answer, which is to be closed, if it is one
// of success.
func (c *client) send(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	if c.password != "" {
		req.SetBasicAuth("admin", c.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, c.doubt(fmt.Errorf("is parkd running? %w", err))
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	err = refusal(res, body)
	if res.StatusCode == http.StatusUnauthorized {
		err = c.doubt(err)
	}
	return nil, err
}

// doubt adds to an error that may come of looking for the server at the wrong place
// what is wrong with the configuration that says where it is.
func (c *client) doubt(err error) error {
	if c.faults == nil {
		return err
	}
	return fmt.Errorf("%w\nwhere it is, is read from a configuration with faults:\n%v", err, c.faults)
}

// refused is an answer of the running server that is not what was asked for.
type refused struct {
	status int
	text   string
	faults []string // of its configuration
}

// Error implements error.
func (r refused) Error() string { return r.text }

// refusal reads a problem document (RFC 9457 3.1), with faults if it has some.
func refusal(res *http.Response, body []byte) error {
	var problem struct {
		Title, Detail string
		Faults        []string
	}
	_ = json.Unmarshal(body, &problem) // what is no problem document has its status
	r := refused{status: res.StatusCode, faults: problem.Faults}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		r.text = "the running server has another admin.password"
	case problem.Detail != "":
		r.text = printable(problem.Detail)
	case problem.Title != "":
		r.text = printable(problem.Title)
	default:
		r.text = "the running server answered " + res.Status
	}
	return r
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
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	if _, err := c.do(cmd.Context(), method, "/api/v1/calls/"+url.PathEscape(id)+action); err != nil {
		return failure{err}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "call %s %s\n", id, done)
	return err
}

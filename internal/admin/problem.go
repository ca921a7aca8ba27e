package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"parkd/internal/orbit"
)

// problem is an RFC 9457 problem document of the type about:blank: the title
// is the status's own (RFC 9457 4.2.1).
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"`
}

// faulty is the problem of a configuration with faults, a member of our own
// (RFC 9457 3.2).
type faulty struct {
	problem
	Faults []string `json:"faults"` // FILE:LINE: key: what is wrong
}

// fail answers with a problem document.
func fail(w http.ResponseWriter, r *http.Request, status int, detail string) {
	write(w, status, newProblem(r, status, detail))
}

// failFaulty answers that a configuration has faults.
func failFaulty(w http.ResponseWriter, r *http.Request, faults []string) {
	const status = http.StatusUnprocessableEntity
	p := newProblem(r, status, "the configuration has faults, the one before is still in force")
	write(w, status, faulty{p, faults})
}

func newProblem(r *http.Request, status int, detail string) problem {
	return problem{"about:blank", http.StatusText(status), status, detail, r.URL.Path}
}

func write(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

// failWith answers with the problem that an error of package orbit is.
func failWith(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := statusOf(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	fail(w, r, status, detail)
}

// errBusy is a call that is not in a state for what was asked.
type errBusy struct{ state string }

// Error implements error.
func (e errBusy) Error() string { return "the call is " + e.state }

// statusOf maps an error to the HTTP answer. The one place where this is done.
func statusOf(err error) (status int, detail string) {
	var busy errBusy
	switch {
	case errors.As(err, &busy):
		return http.StatusConflict, busy.Error()
	case errors.Is(err, orbit.ErrNobody):
		return http.StatusConflict, orbit.ErrNobody.Error()
	case errors.Is(err, orbit.ErrGone):
		return http.StatusNotFound, orbit.ErrGone.Error()
	case errors.Is(err, orbit.ErrUnknown):
		return http.StatusNotFound, orbit.ErrUnknown.Error()
	case errors.Is(err, orbit.ErrClosed):
		return http.StatusServiceUnavailable, "shutting down"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "no answer in time"
	}
	return http.StatusInternalServerError, fmt.Sprint(err)
}

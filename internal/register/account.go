// Package register keeps addresses of record of a hosted PBX registered (RFC
// 3261 10, RFC 5626), so that parkd appears there as ordinary extensions. It
// promises that each account has one registration that is refreshed in time,
// tried again later and later while it fails, and taken back when the account is
// no more wanted; that a thousand of them send no burst; and that what is wrong
// is said when it changes, not each time. It knows no calls.
package register

import (
	"time"

	"parkd/internal/sipua"
)

// Account is one registration that is wanted: an immutable value.
type Account struct {
	AOR       string // address of record: sip:701@pbx.example.com
	Registrar string // URI that REGISTER goes to, without a user: sip:pbx.example.com;transport=tcp
	User      string // of our Contact: who is called there
	Domain    string // of the address of record
	Username  string // for challenges
	Password  string
	Realm     string        // of Password; "" = any
	Expires   time.Duration // asked for; the registrar may grant less
	Keepalive time.Duration // of the way that the registrar reaches us by
	Contact   string        // parameters of the Contact: ;q=0.5
}

// key is what makes two values one account: another value of it changes the
// registration, and does not make another.
func (a *Account) key() string { return a.AOR + " " + a.Registrar + " " + a.User }

// Credentials answer the challenges of the account's PBX.
func (a *Account) Credentials() []sipua.Credential {
	return []sipua.Credential{{Realm: a.Realm, Username: a.Username, Password: a.Password}}
}

// State is where a registration stands.
type State string

// The states of a registration.
const (
	Trying     State = "trying"     // no answer yet
	Registered State = "registered" // calls come here
	Failed     State = "failed"     // tried again later
)

// States are all of them.
var States = []State{Trying, Registered, Failed}

// Status is a registration as operators see it.
type Status struct {
	AOR       string
	Registrar string
	User      string
	State     State
	Since     time.Time // in that state
	Expires   time.Time // registered until; zero while it is not
	Next      time.Time // when the next REGISTER goes out
	Contact   string    // where the registrar reaches us
	Routes    []string  // Service-Route of the registrar (RFC 3608)
	Error     string    // of the last try; "" = it went well
}

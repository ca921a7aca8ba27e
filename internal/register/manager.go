package register

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"

	"parkd/internal/sipua"
)

// Bounds of what goes out at once.
const (
	maxUnderway = 32               // REGISTERs that wait for their answers
	perSecond   = 50               // new registrations a second, at a start or reload
	leaveLimit  = 10 * time.Second // for those that a reload takes back
)

// Options is what a Manager is built from.
type Options struct {
	Endpoint *sipua.Endpoint
	Instance string // of +sip.instance, with its brackets: <urn:uuid:...>; stable over restarts
	Log      zerolog.Logger
}

// Manager owns the registrations.
type Manager struct {
	o        Options
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	underway chan struct{}

	mu       sync.Mutex // leaf; guards all below
	bindings map[string]*binding
	closed   bool
}

// New returns a manager without registrations.
func New(o Options) *Manager {
	m := &Manager{o: o, underway: make(chan struct{}, maxUnderway), bindings: map[string]*binding{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Update wants these accounts registered, and no others: it begins, changes and
// takes back what differs, and touches nothing else. It does not wait.
func (m *Manager) Update(accounts []Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	wanted := make(map[string]bool, len(accounts))
	fresh := 0
	for _, a := range accounts {
		key := a.key()
		wanted[key] = true
		b := m.bindings[key]
		switch {
		case b == nil:
			// Spread: all of them would else expire together for ever.
			m.begin(key, a, time.Duration(fresh)*time.Second/perSecond+rand.N(time.Second/perSecond))
			fresh++
		case b.wanted != a:
			b.wanted = a
			select {
			case <-b.change: // what it has not taken counts no more
			default:
			}
			b.change <- a // it has room, and nobody else puts anything there
		}
	}
	for key, b := range m.bindings {
		if !wanted[key] {
			delete(m.bindings, key)
			close(b.leave)
		}
	}
	m.trust()
}

// begin starts a registration. m.mu is held.
func (m *Manager) begin(key string, a Account, start time.Duration) {
	b := &binding{
		m: m, account: a, wanted: a, callID: sipua.NewCallID(), tag: sipua.NewTag(), expires: a.Expires,
		change: make(chan Account, 1), leave: make(chan struct{}), done: make(chan struct{}),
		status: Status{AOR: a.AOR, Registrar: a.Registrar, User: a.User, State: Trying, Since: time.Now()},
	}
	m.bindings[key] = b
	m.wg.Go(func() { b.run(m.ctx, start) })
}

// Close ends all registrations: with a word to the registrars, until ctx ends, or
// as they are, for the next process to go on with.
func (m *Manager) Close(ctx context.Context, leave bool) {
	m.mu.Lock()
	m.closed = true
	bindings := m.bindings
	m.bindings = map[string]*binding{}
	m.mu.Unlock()
	if leave {
		for _, b := range bindings {
			close(b.leave)
		}
		for _, b := range bindings {
			select {
			case <-b.done:
			case <-ctx.Done():
			}
		}
	}
	m.cancel()
	m.wg.Wait()
}

// enter waits until a REGISTER may go out.
func (m *Manager) enter(ctx context.Context) (release func(), err error) {
	select {
	case m.underway <- struct{}{}:
		return func() { <-m.underway }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask sends a request and waits for its final answer.
func (m *Manager) ask(ctx context.Context, req *sip.Request, to sipua.Target) (*sip.Response, error) {
	type outcome struct {
		res *sip.Response
		err error
	}
	done := make(chan outcome, 1)
	m.o.Endpoint.Request(ctx, req, to, func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			done <- outcome{res, err}
		}
	})
	o := <-done // there is always one: ctx ends the transaction
	return o.res, o.err
}

// plan notes when the next REGISTER goes out.
func (m *Manager) plan(b *binding, next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b.status.Next = next
}

// registered notes a 2xx.
func (m *Manager) registered(b *binding, routes []string) {
	m.mu.Lock()
	before := b.status
	b.enter(Registered)
	b.status.Expires, b.status.Error = b.until, ""
	b.status.Contact, b.status.Routes = b.contact.String(), routes
	m.mu.Unlock()
	if before.State != Registered {
		m.o.Log.Info().Str("aor", b.account.AOR).Str("registrar", b.account.Registrar).
			Str("contact", b.contact.String()).Time("until", b.until).Msg("registered")
	}
}

// failed notes that a try came to nothing. While the registration before still
// holds, calls come here all the same.
func (m *Manager) failed(b *binding, err error) {
	m.mu.Lock()
	before := b.status
	b.status.Error, b.status.Expires = err.Error(), b.until
	if b.until.IsZero() {
		b.enter(Failed)
	}
	after := b.status
	m.mu.Unlock()
	if before.State != after.State || before.Error != after.Error {
		m.o.Log.Warn().Str("aor", b.account.AOR).Str("registrar", b.account.Registrar).
			Str("state", string(after.State)).Err(err).Msg("registration failed")
	}
}

// enter changes the state. m.mu is held.
func (b *binding) enter(s State) {
	if b.status.State != s {
		b.status.State, b.status.Since = s, time.Now()
	}
}

// reach notes where a REGISTER goes. What comes from there is served from now on,
// for a call may follow the 200 at once.
func (m *Manager) reach(b *binding, remote netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.remote != remote {
		b.remote = remote
		m.trust()
	}
}

// trust has the addresses served where registrars are: of all that are wanted, for
// one that fails just now may still hold calls of ours. m.mu is held.
func (m *Manager) trust() {
	var addrs []netip.Addr
	for _, b := range m.bindings {
		if b.remote.IsValid() {
			addrs = append(addrs, b.remote.Addr())
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	m.o.Endpoint.SetPeers(slices.Compact(addrs))
}

// List is where the registrations stand, by address of record.
func (m *Manager) List() []Status {
	m.mu.Lock()
	list := make([]Status, 0, len(m.bindings))
	for _, b := range m.bindings {
		list = append(list, b.status)
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.AOR, b.AOR), cmp.Compare(a.Registrar, b.Registrar), cmp.Compare(a.User, b.User))
	})
	return list
}

// Count is how many registrations there are in each state.
func (m *Manager) Count() map[State]int {
	n := map[State]int{}
	for _, s := range States {
		n[s] = 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.bindings {
		n[b.status.State]++
	}
	return n
}

package presence

import (
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// Members implements Lists: "all" is a list of all that there is, in order.
func (l *lamps) Members(list string) ([]Member, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, ok := l.lists[list]
	if list == "all" {
		names, ok = slices.Sorted(maps.Keys(l.shown)), true
	}
	var members []Member
	for _, m := range names {
		if shown, there := l.shown[m]; there {
			members = append(members, Member{Resource: m, Name: "Orbit " + m, Lit: shown != ""})
		}
	}
	return members, ok
}

// Within implements Lists.
func (l *lamps) Within(resource string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := []string{"all"}
	for name, members := range l.lists {
		if slices.Contains(members, resource) {
			in = append(in, name)
		}
	}
	return in
}

// AppendRLMI implements Lists, in lines.
func (l *lamps) AppendRLMI(dst []byte, r Roll) []byte {
	text := fmt.Sprintf("list %s %d %v\n", r.URI, r.Version, r.Full)
	for _, e := range r.Resources {
		text += fmt.Sprintf("%s|%s|%s|%s\n", e.URI, e.Name, e.Instance, e.CID)
	}
	return append(dst, text...)
}

// relist gives a list other members; none is no list.
func (b *bed) relist(list string, members ...string) {
	b.src.mu.Lock()
	if b.src.lists == nil {
		b.src.lists = map[string][]string{}
	}
	if b.src.lists[list] = members; members == nil {
		delete(b.src.lists, list)
	}
	b.src.mu.Unlock()
	if b.n != nil {
		b.n.ListChanged(list)
		synctest.Wait()
	}
}

// rollcall is the NOTIFY of a list.
type rollcall struct {
	version uint32
	full    bool
	members []told
}

// told is a member in it; shown is "?" where its document is to follow.
type told struct {
	user, name, instance string
	version              uint32
	shown                string
}

func (r rollcall) String() string {
	text := "part"
	if r.full {
		text = "full"
	}
	text += fmt.Sprint(" ", r.version, ":")
	for _, m := range r.members {
		if text += " " + m.user; m.shown != "?" {
			text += fmt.Sprintf("=%s/%d", m.shown, m.version)
		}
	}
	return text
}

// rollOf reads the NOTIFY of a list.
func rollOf(m *sip.Request) (r rollcall, err error) {
	if got := value(m, "Require"); got != "eventlist" {
		return r, fmt.Errorf("extension %q", got)
	}
	kind, params, err := mime.ParseMediaType(value(m, "Content-Type"))
	if err != nil || kind != "multipart/related" || params["type"] != "application/rlmi+xml" {
		return r, fmt.Errorf("type %q", kind)
	}
	parts, root, in := map[string]string{}, "", multipart.NewReader(strings.NewReader(string(m.Body())), params["boundary"])
	for {
		p, err := in.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return r, err
		}
		text, _ := io.ReadAll(p)
		id := p.Header.Get("Content-ID")
		if parts[id] = string(text); root == "" {
			root = id
		}
	}
	if root != params["start"] {
		return r, fmt.Errorf("start %s, first %s", params["start"], root)
	}
	lines := strings.Split(strings.TrimSpace(parts[root]), "\n")
	if len(lines[0]) > 0 {
		words := strings.Fields(lines[0])
		n, _ := strconv.ParseUint(words[2], 10, 32)
		r.version, r.full = uint32(n), words[3] == "true"
	}
	delete(parts, root)
	for _, line := range lines[1:] {
		f := strings.Split(line, "|")
		user, _, _ := strings.Cut(strings.TrimPrefix(f[0], "sip:"), "@")
		t := told{user: user, name: f[1], instance: f[2], shown: "?"}
		if f[3] != "" {
			text, ok := parts["<"+f[3]+">"]
			if !ok {
				return r, fmt.Errorf("no document of %s", user)
			}
			var entity string
			fmt.Sscanf(text, "version=%d shown=%s entity=%s", &t.version, &t.shown, &entity)
			if t.shown = strings.Trim(t.shown, "-"); entity != f[0] {
				return r, fmt.Errorf("document of %s for %s", entity, f[0])
			}
			delete(parts, "<"+f[3]+">")
		}
		r.members = append(r.members, t)
	}
	if len(parts) > 0 {
		return r, fmt.Errorf("%d documents of nobody", len(parts))
	}
	return r, nil
}

// rolls are the NOTIFYs that a phone got within a dialog; "" = all.
func (p *phone) rolls(callID string) (list []rollcall) {
	p.t.Helper()
	for _, n := range p.got() {
		if callID != "" && n.req.CallID().Value() != callID {
			continue
		}
		r, err := rollOf(n.req)
		if err != nil {
			p.t.Errorf("%v in\n%s", err, n.req)
		}
		list = append(list, r)
	}
	return list
}

// texts are the rolls since the n-th.
func (p *phone) texts(n int) (list []string) {
	p.t.Helper()
	for _, r := range p.rolls("")[n:] {
		list = append(list, r.String())
	}
	return list
}

// keys are what a phone shows: RFC 4662 5.2: full state is all that there is.
func keys(rolls []rollcall) map[string]string {
	shown := map[string]string{}
	for _, r := range rolls {
		if r.full {
			shown = map[string]string{}
		}
		for _, m := range r.members {
			shown[m.user] = m.shown
		}
	}
	return shown
}

// flowFrom is a request's way from an address.
func flowFrom(a netip.AddrPort) sipua.Flow { return sipua.Flow{Network: "udp", Remote: a} }

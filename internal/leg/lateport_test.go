package leg

import (
	"fmt"
	"strings"
	"testing"
)

// noted is a port that writes down what it plays.
type noted struct {
	silent
	did []string
}

func (p *noted) Play(tune string) { p.did = append(p.did, "play "+tune) }
func (p *noted) Say(words []string, then string) {
	p.did = append(p.did, fmt.Sprint("say ", words, " ", then))
}

func TestLatePortPlaysTheLast(t *testing.T) {
	say := func(p Port) { p.Say([]string{"7", "1"}, "sales") }
	nothing := func(p Port) { p.Say(nil, "") }
	play := func(p Port) { p.Play("default") }
	for _, row := range []struct {
		name          string
		before, after []func(Port)
		want          string
	}{
		{"words before", []func(Port){play, say}, nil, "say [7 1] sales"},
		{"no words, silence", []func(Port){nothing}, nil, "say [] "},
		{"music before", []func(Port){say, play}, nil, "play default"},
		{"nothing before", nil, []func(Port){say, play}, "say [7 1] sales, play default"},
		{"both", []func(Port){play}, []func(Port){say}, "play default, say [7 1] sales"},
	} {
		t.Run(row.name, func(t *testing.T) {
			late, port := &latePort{}, &noted{}
			for _, f := range row.before {
				f(late)
			}
			late.found(port)
			for _, f := range row.after {
				f(late)
			}
			if got := strings.Join(port.did, ", "); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

//go:build unix

package peers

import (
	"bytes"
	"embed"
	"encoding/xml"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

//go:embed testdata/*.xml
var sippScenarios embed.FS

// A sipp is a running scenario. Scenarios log a word at each step they have
// taken ("watching", "lit", "talking"), which is how tests follow them.
type sipp struct {
	*proc
	s     *scene
	logs  string // what the scenario logs
	trace string // every message
}

// sippOptions say who plays which scenario towards whom.
type sippOptions struct {
	name     string // of this run, unique in the scene
	scenario string // testdata/NAME.xml, a template
	host     int    // its own address in the scene
	port     int    // 0 = sipPort
	to       string // host:port that every request goes to; "" = answers only
	tcp      bool
	args     []string
	data     any // for the template
}

// sipp starts a scenario for one call.
func (s *scene) sipp(o sippOptions) *sipp {
	s.Helper()
	ip, home := s.ip(o.host), s.folder(o.name)
	if o.port == 0 {
		o.port = sipPort
	}
	transport := "u1"
	if o.tcp {
		transport = "t1"
	}
	x := &sipp{s: s, logs: filepath.Join(home, "log"), trace: filepath.Join(home, "messages")}
	args := []string{
		"-sf", s.write(s.render(o.scenario, o.data), o.name, "scenario.xml"),
		"-i", ip, "-p", fmt.Sprint(o.port), "-bind_local", "-mi", ip, "-ci", ip, "-t", transport,
		"-m", "1", "-r", "1", "-nostdin", "-skip_rlimit", "-timer_resol", "5",
		"-timeout", "40s", "-timeout_error", "-recv_timeout", "20000",
		"-trace_logs", "-log_file", x.logs,
		"-trace_msg", "-message_file", x.trace,
		"-trace_err", "-error_file", filepath.Join(home, "errors"),
	}
	args = append(args, o.args...)
	if o.to != "" {
		args = append(args, o.to)
	}
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("%s, its steps: %s\nits errors:\n%s\nits messages:\n%s", o.name,
				strings.Fields(contents(x.logs)), tail(filepath.Join(home, "errors"), 30), tail(x.trace, 250))
		}
	})
	x.proc = s.start(o.name, home, false, "sipp", args...)
	if o.to == "" {
		s.listens(o.host, o.port)
	}
	return x
}

// render fills a scenario's template.
func (s *scene) render(name string, data any) string {
	s.Helper()
	t, err := template.New(name+".xml").Funcs(template.FuncMap{
		// pattern is text as a POSIX regular expression inside an XML attribute.
		"pattern": func(text string) string { return escape(regexp.QuoteMeta(text)) },
		"xml":     escape,
	}).ParseFS(sippScenarios, "testdata/*.xml")
	if err != nil {
		s.Fatal(err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		s.Fatal(err)
	}
	return b.String()
}

func escape(text string) string {
	var b strings.Builder
	// A strings.Builder cannot fail.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// step waits until the scenario has logged a word.
func (x *sipp) step(word string) {
	x.s.Helper()
	x.s.eventually(func() bool { return x.stepped(word) || x.ended() }, "%s comes to the step %q", x.name, word)
	if !x.stepped(word) {
		x.s.Fatalf("%s ended with code %d before the step %q", x.name, x.code, word)
	}
}

func (x *sipp) stepped(word string) bool {
	return x.value(word) != ""
}

// value is the line that begins with a word in the log, "" if there is none.
func (x *sipp) value(word string) string {
	for line := range strings.Lines(contents(x.logs)) {
		if line = strings.TrimSpace(line); line == word || strings.HasPrefix(line, word+" ") {
			return line
		}
	}
	return ""
}

// sendsTo is where the last description that came wants sound.
func (x *sipp) sendsTo() *net.UDPAddr {
	x.s.Helper()
	found := audioPort.FindAllStringSubmatch(contents(x.trace), -1)
	if len(found) == 0 {
		x.s.Fatalf("%s: no description has come", x.name)
	}
	port, err := strconv.Atoi(found[len(found)-1][1])
	if err != nil {
		x.s.Fatal(err)
	}
	return &net.UDPAddr{IP: net.ParseIP(x.s.ip(hostParkd)), Port: port}
}

var audioPort = regexp.MustCompile(`m=audio (\d+)`)

// passes waits until the scenario has been played to its end without a fault.
func (x *sipp) passes() {
	x.s.Helper()
	x.s.eventually(x.ended, "%s ends", x.name)
	if x.code != 0 {
		x.s.Fatalf("%s: the scenario failed with code %d", x.name, x.code)
	}
}

//go:build unix

package peers

import (
	_ "embed"
	"strings"
)

//go:embed testdata/kamailio.cfg
var kamailioConfig string

// kamailio starts a registrar and Record-Routing proxy on UDP and TCP. It sends
// orbits and retrieve codes to parkd, and all else to whoever registered.
// Its host and port are what phones use as their domain.
func (s *scene) kamailio() string {
	s.Helper()
	return s.kamailioAs()
}

// hosted starts one that sends orbits nothing but what they have registered for,
// each with a password.
func (s *scene) hosted() string {
	s.Helper()
	return s.kamailioAs("-A", "HOSTED")
}

func (s *scene) kamailioAs(more ...string) string {
	s.Helper()
	s.proxied = true
	sip, home := s.sip(hostProxy), s.folder("kamailio")
	cfg := s.write(strings.NewReplacer("@SIP@", sip, "@IP@", s.ip(hostProxy), "@PARKD@", s.sip(hostParkd)).Replace(kamailioConfig), "kamailio", "kamailio.cfg")
	s.start("kamailio", home, false, "kamailio", append([]string{"-f", cfg, "-DD", "-E", "-m", "32", "-M", "4",
		"-Y", home, "-w", home, "-P", s.path("kamailio", "pid")}, more...)...)
	s.answersOptions("udp", sip, "kamailio")
	s.answersOptions("tcp", sip, "kamailio")
	return sip
}

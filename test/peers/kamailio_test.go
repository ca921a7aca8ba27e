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
// Its address is what phones use as their domain.
func (s *scene) kamailio() string {
	s.Helper()
	ip, home := s.ip(hostProxy), s.folder("kamailio")
	cfg := s.write(strings.NewReplacer("@IP@", ip, "@PARKD@", s.ip(hostParkd)).Replace(kamailioConfig), "kamailio", "kamailio.cfg")
	s.start("kamailio", home, false, "kamailio", "-f", cfg, "-DD", "-E", "-m", "32", "-M", "4",
		"-Y", home, "-w", home, "-P", s.path("kamailio", "pid"))
	s.answersOptions("udp", ip+":5060", "kamailio")
	s.answersOptions("tcp", ip+":5060", "kamailio")
	return ip
}

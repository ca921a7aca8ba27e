//go:build linux

package systemd

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"

	"parkd/internal/config"
)

const unitDir = "../../configs/systemd"

// known are the keys that systemd 252 has and our units use: one that is misspelt
// is ignored by systemd, with a line in the journal that nobody reads.
var known = map[string]string{
	"Unit": "Description Wants After StartLimitIntervalSec",
	"Service": "Type ExecStart Sockets TimeoutStopSec Restart RestartSec WatchdogSec " +
		"User DynamicUser StateDirectory StateDirectoryMode ConfigurationDirectory WorkingDirectory UMask " +
		"LimitNOFILE CPUWeight OOMScoreAdjust CapabilityBoundingSet NoNewPrivileges " +
		"ProtectSystem ProtectHome ProtectProc ProtectClock ProtectControlGroups ProtectHostname " +
		"ProtectKernelLogs ProtectKernelModules ProtectKernelTunables PrivateDevices PrivateTmp RemoveIPC " +
		"RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality " +
		"MemoryDenyWriteExecute SystemCallArchitectures SystemCallFilter SystemCallErrorNumber",
	"Socket": "ListenDatagram ListenStream BindIPv6Only FileDescriptorName ReceiveBuffer SendBuffer Backlog " +
		"TriggerLimitIntervalSec",
	"Install": "WantedBy Also",
}

// options reads a unit: section.key to its values.
func options(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitDir, name))
	if err != nil {
		t.Fatal(err)
	}
	list, err := unit.DeserializeOptions(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	found := map[string][]string{}
	for _, o := range list {
		if !slices.Contains(strings.Fields(known[o.Section]), o.Name) {
			t.Errorf("%s: [%s] %s= is not a known key", name, o.Section, o.Name)
		}
		found[o.Section+"."+o.Name] = append(found[o.Section+"."+o.Name], o.Value)
	}
	return found
}

func TestUnits(t *testing.T) {
	service, socket := options(t, "parkd.service"), options(t, "parkd.socket")
	for name, list := range map[string]map[string][]string{"parkd.service": service, "parkd.socket": socket} {
		for key, values := range list {
			if len(values) > 1 && key != "Service.Type" {
				t.Errorf("%s: %s is there %d times", name, key, len(values))
			}
		}
	}
	// The last that systemd knows counts.
	if got := service["Service.Type"]; !slices.Equal(got, []string{"notify", "notify-reload"}) {
		t.Errorf("Type is %q", got)
	}
	// Without a WATCHDOG_USEC the Watchdog does nothing, without state and restarts the journal.
	for key, want := range map[string]string{
		"Service.WatchdogSec": "10s", "Service.StateDirectory": "parkd", "Service.Restart": "always",
		"Unit.StartLimitIntervalSec": "0", "Service.Sockets": "parkd.socket",
	} {
		if got := service[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	// A parked call has one socket, a bridged one two.
	files, err := strconv.Atoi(service["Service.LimitNOFILE"][0])
	if most := config.Default().Park.MaxCalls; err != nil || files < 3*most {
		t.Errorf("%d open files (%v) for %d calls", files, err, most)
	}
}

// The sockets of the unit are the listeners that parkd has by default.
func TestSocketsAreTheDefault(t *testing.T) {
	socket := options(t, "parkd.socket")
	var got, want []string
	for key, network := range map[string]string{"Socket.ListenDatagram": "udp", "Socket.ListenStream": "tcp"} {
		for _, port := range socket[key] {
			got = append(got, network+"://:"+port)
		}
	}
	for _, l := range config.Default().SIP.Listen {
		want = append(want, l.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the unit opens %q, parkd listens on %q", got, want)
	}
	if name := socket["Socket.FileDescriptorName"]; !slices.Equal(name, []string{"sip"}) {
		t.Errorf("the sockets are named %q", name)
	}
}

// TestVerify lets systemd read the units, where it is installed. What it says of
// another unit is none of ours.
func TestVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("systemd is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"parkd.service", "parkd.socket"} {
		text, err := os.ReadFile(filepath.Join(unitDir, name))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("ExecStart=/usr/local/bin/parkd"), []byte("ExecStart="+self))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), analyze, "verify", filepath.Join(dir, "parkd.service"), filepath.Join(dir, "parkd.socket"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		old := strings.Contains(line, "Failed to parse service type, ignoring: notify-reload") && version(t, analyze) < 253
		if strings.Contains(line, "parkd.") && !old {
			t.Error(strings.TrimSpace(line))
		}
	}
}

// version is the number in the first line of systemd-analyze --version: systemd 252 (…).
func version(t *testing.T, analyze string) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), analyze, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	if len(words) < 2 {
		t.Fatalf("systemd-analyze says %q", out)
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

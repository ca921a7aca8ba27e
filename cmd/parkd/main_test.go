package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parkd runs the program in this process, in a fresh folder with these files.
func parkd(t *testing.T, files map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestExitCodes(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	bad := map[string]string{"bad.yaml": "log: {level: loud}\nsips: {}\n"}
	rows := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // contained
	}{
		{"check of a good file", []string{"check", "-c", "good.yaml"}, 0, "good.yaml: fine, 1 orbits", ""},
		{"check with warnings", []string{"check", "-c", "good.yaml", "--media-ports=10000-10009"}, 0, "warning: media.ports: 10000-10009 has room for 5 streams", ""},
		{"check of a bad file", []string{"check", "-c", "bad.yaml"}, 2,
			"bad.yaml:1: log.level: \"loud\" is none of trace, debug, info, warn, error\nbad.yaml:2: sips: unknown key, perhaps sip is meant\n", ""},
		{"check of no file", []string{"check", "--config=none.yaml"}, 2, "none.yaml: no such file or directory\n", ""},
		{"serve of a bad file", []string{"-c", "bad.yaml"}, 2, "", "bad.yaml:2: sips: unknown key"},
		{"config of a bad file", []string{"config", "-c", "bad.yaml"}, 2, "", "bad.yaml:2: sips: unknown key"},
		{"unknown command", []string{"chekc"}, 2, "", `unknown command "chekc"`},
		{"unknown flag", []string{"--sip-lisen=x"}, 2, "", "unknown flag: --sip-lisen"},
		{"bad flag", []string{"check", "--sip-listen=x"}, 2, "--sip-listen: sip.listen[0]: \"x\" does not begin with", ""},
		{"argument too many", []string{"check", "good.yaml"}, 2, "", "unknown command"},
		{"call alone", []string{"call"}, 2, "", "call return ID, or call drop ID"},
		{"call without ID", []string{"call", "drop"}, 2, "", "accepts 1 arg(s), received 0"},
		{"help", []string{"--help"}, 0, "parkd parks SIP calls", ""},
		{"version", []string{"version"}, 0, "parkd ", ""},
		{"status of none", []string{"status", "--admin-listen=127.0.0.1:1"}, 1, "", "is parkd running?"},
		{"status of none, by a faulty file", []string{"status", "-c", "bad.yaml", "--admin-listen=127.0.0.1:1"}, 1, "",
			"connection refused\nwhere it is, is read from a configuration with faults:\nbad.yaml:1: log.level"},
		{"status of a file that is not there", []string{"status", "-c", "none.yaml"}, 2, "", "none.yaml: no such file or directory"},
		{"status by a faulty address", []string{"status", "--admin-listen=x"}, 2, "", "admin.listen: \"x\" is not an address"},
		{"reload of none", []string{"reload", "--admin-listen=127.0.0.1:1"}, 1, "", "is parkd running?"},
		{"reload with an argument", []string{"reload", "now"}, 2, "", "unknown command"},
		{"status without an interface", []string{"status", "--admin-listen="}, 2, "", "admin.listen is empty"},
	}
	bad["good.yaml"] = "orbits: [{extension: 701}]\n"
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := parkd(t, bad, row.args...)
			if code != row.code || !strings.Contains(stdout, row.stdout) || !strings.Contains(stderr, row.stderr) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, row.code, stdout, stderr)
			}
		})
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	code, out, _ := parkd(t, map[string]string{"parkd.yaml": "admin: {password: geheim}\naccess: {users: [{username: u, password: geheim}]}\n"}, "config")
	if code != 0 || strings.Contains(out, "geheim") || strings.Count(out, "********") != 2 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	t.Setenv("PARKD_ADMIN_PASSWORD", "geheim2")
	if _, out, _ := parkd(t, nil, "config"); strings.Contains(out, "geheim") {
		t.Errorf("a password of the environment is shown:\n%s", out)
	}
}

// TestBinary builds parkd as it is installed and runs it as scripts do.
func TestBinary(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("signals of Unix")
	}
	bin := filepath.Join(t.TempDir(), "parkd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags=-X main.release=v9.8.7", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("version", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), bin, "version").Output()
		if want := "parkd v9.8.7 (" + runtime.Version(); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("check", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), bin, "check", "--sip-listen=x")
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
			t.Errorf("%v, want exit status 2", err)
		}
	})
	args := []string{"--sip-listen=udp://127.0.0.1:0,tcp://127.0.0.1:0", "--admin-listen=127.0.0.1:0"}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t, bin, args...)
			p.waitFor(`"ready"`)
			p.signal(syscall.SIGHUP)
			p.waitFor("configuration reloaded")
			p.signal(sig)
			p.waitFor(`"stopped"`)
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("%v, want exit status 0", err)
			}
		})
	}
	t.Run("drain", func(t *testing.T) {
		p := start(t, bin, append(args, "--shutdown=drain")...)
		p.waitFor(`"ready"`)
		p.signal(syscall.SIGTERM)
		p.waitFor(`"stopped"`) // there is no call to wait for
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v, want exit status 0", err)
		}
	})
	t.Run("a second signal", func(t *testing.T) { testSecondSignal(t, bin) })
	t.Run("reload", func(t *testing.T) { testReload(t, bin) })
	t.Run("port in use", func(t *testing.T) {
		p := start(t, bin, "--sip-listen=udp://192.0.2.1:5060", "--admin-listen=127.0.0.1:0") // an address of nobody's
		rest, err := io.ReadAll(p.log)
		if err != nil || bytes.Count(rest, []byte(`"level":"error"`)) != 1 || !bytes.Contains(rest, []byte("192.0.2.1:5060")) {
			t.Errorf("%v:\n%s", err, rest)
		}
		var exit *exec.ExitError
		if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
			t.Errorf("%v, want exit status 1", err)
		}
	})
}

// process is a parkd whose log is read as it is written.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	log *bufio.Reader
}

func start(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = t.TempDir()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{t: t, cmd: cmd, log: bufio.NewReader(pipe)}
}

// waitFor reads the log up to a line with text in it, and returns that.
func (p *process) waitFor(text string) (line string) {
	p.t.Helper()
	var seen strings.Builder
	for {
		line, err := p.log.ReadString('\n')
		seen.WriteString(line)
		if strings.Contains(line, text) {
			return line
		}
		if err != nil {
			p.t.Fatalf("the log ends without %s:\n%s", text, seen.String())
		}
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

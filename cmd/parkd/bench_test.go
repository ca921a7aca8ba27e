package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func TestBenchMedia(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has its sockets")
	}
	few := []string{"bench", "media", "--calls=5", "--time=1s", "--media-ports=22000-22099"}
	code, out, stderr := parkd(t, nil, few...)
	if code != exitFine || stderr != "" || !strings.Contains(out, "carries the media of ") || !strings.Contains(out, "media.ports 50.") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	code, out, stderr = parkd(t, nil, append(few, "--silent", "--json")...)
	var r struct {
		Calls  *int
		Silent bool
		Steps  []struct{ Calls int }
	}
	err := json.Unmarshal([]byte(out), &r)
	if code != exitFine || stderr != "" || err != nil || r.Calls == nil || !r.Silent || len(r.Steps) == 0 || r.Steps[0].Calls != 5 {
		t.Errorf("exit %d, %v\n%s%s", code, err, out, stderr)
	}
}

func TestBenchMediaRefuses(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		stderr string
	}{
		{[]string{"bench"}, "bench media"},
		{[]string{"bench", "media", "now"}, "unknown command"},
		{[]string{"bench", "media", "--calls=-1"}, "--calls"},
		{[]string{"bench", "media", "--time=0s"}, "--time"},
		{[]string{"bench", "media", "--media-ports=x"}, "media.ports"},
	} {
		if code, _, stderr := parkd(t, nil, tt.args...); code != exitUsage || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%v: exit %d, %s", tt.args, code, stderr)
		}
	}
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	rows := []struct {
		name, file, text string
		music            []string // files that are there
		want             []string // relative to the folder
	}{
		{"no file", "", "", nil, nil},
		{"a file alone", "parkd.yaml", "", nil, []string{"parkd.yaml"}},
		{"the built-in music is no file", "parkd.yaml", "orbits: [{extension: 701}]", []string{"default"}, []string{"parkd.yaml"}},
		{"music, each once", "parkd.yaml", "orbits: [{extension: 701, music: b}, {extension: 702-709, music: a}]", []string{"a", "b", "c"},
			[]string{"music/a.wav", "music/b.wav", "parkd.yaml"}},
		{"music of the defaults", "parkd.yaml", "defaults: {music: a}\norbits: []", []string{"a"}, []string{"music/a.wav", "parkd.yaml"}},
		{"another folder", "parkd.yaml", "media: {music_dir: ./x/../music}\ndefaults: {music: a}", []string{"a"}, []string{"music/a.wav", "parkd.yaml"}},
		{"certificates", "parkd.toml", "[sip]\nlisten = [\"tls://:5061\"]\n[sip.tls]\ncert = \"c.pem\"\nkey = \"keys/k.pem\"\nclient_ca = \"ca.pem\"", nil,
			[]string{"c.pem", "ca.pem", "keys/k.pem", "parkd.toml"}},
	}
	for _, row := range rows {
		for _, elsewhere := range []bool{false, true} {
			t.Run(row.name, func(t *testing.T) {
				dir := t.TempDir()
				t.Chdir(dir)
				put(t, row.file, row.text)
				for _, m := range row.music {
					put(t, filepath.Join("music", m+".wav"), "")
				}
				path := row.file
				if elsewhere && path != "" {
					t.Chdir(t.TempDir())
					path = filepath.Join(dir, path)
				}
				cfg, err := Load(path, flags(t))
				if err != nil {
					t.Fatal(err)
				}
				var want []string
				for _, f := range row.want {
					want = append(want, filepath.Join(dir, f))
				}
				if diff := cmp.Diff(want, cfg.Files()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// put writes a file, and the folder that it is in.
func put(t *testing.T, name, text string) {
	t.Helper()
	if name == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Without a configuration file the music directory is the working directory's.
func TestFilesWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	put(t, "music/sales.wav", "")
	t.Setenv("PARKD_DEFAULTS_MUSIC", "sales")
	cfg, err := Load("", flags(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "music", "sales.wav")}, cfg.Files()); diff != "" {
		t.Error(diff)
	}
}

// Music that is not there is a fault that says which file would heal it.
func TestMissing(t *testing.T) {
	_, err := Load(write(t, "parkd.yaml", "log: {level: loud}\norbits: [{extension: 701, music: a}, {extension: 702, music: b}]"), flags(t))
	dir, wdErr := os.Getwd()
	if wdErr != nil {
		t.Fatal(wdErr)
	}
	var all Faults
	if !errors.As(err, &all) || len(all) != 3 {
		t.Fatalf("faults: %v", err)
	}
	want := []string{filepath.Join(dir, "music", "a.wav"), filepath.Join(dir, "music", "b.wav")}
	if diff := cmp.Diff(want, all.Missing()); diff != "" {
		t.Error(diff)
	}
}

// On a reload music that was there may have gone; music that is new must be there,
// and a file that came since the start without one is read.
func TestReload(t *testing.T) {
	t.Chdir(t.TempDir())
	none, err := Load("", flags(t))
	if err != nil {
		t.Fatal(err)
	}
	put(t, "music/a.wav", "")
	put(t, "parkd.yaml", "orbits: [{extension: 701, music: a}]")
	first, err := Reload(&none, flags(t))
	if err != nil || first.File != "parkd.yaml" || first.Orbits[0].Music != "a" {
		t.Fatalf("the file that came is not read: %v", err)
	}
	if err := os.Remove("music/a.wav"); err != nil {
		t.Fatal(err)
	}
	put(t, "parkd.yaml", "orbits: [{extension: 701, music: a}, {extension: 702}]")
	second, err := Reload(&first, flags(t))
	if err != nil || len(second.Orbits) != 2 {
		t.Errorf("gone music: %v", err)
	}
	put(t, "parkd.yaml", "orbits: [{extension: 701, music: a}, {extension: 702, music: b}]")
	var all Faults
	if _, err := Reload(&second, flags(t)); !errors.As(err, &all) || len(all) != 1 || all[0].Key != "orbits[1].music" {
		t.Errorf("music without a file: %v", err)
	}
	if _, err := Load("parkd.yaml", flags(t)); !errors.As(err, &all) || len(all) != 2 {
		t.Errorf("at a start: %v", err)
	}
	if err := os.Remove("parkd.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := Reload(&second, flags(t)); err == nil || err.Error() != "parkd.yaml: no such file or directory" {
		t.Errorf("the file is gone: %v", err)
	}
}

// How the running server is found does not hang on the rest of the configuration.
func TestLoadAdmin(t *testing.T) {
	rows := []struct {
		name, text, env string
		args            []string
		listen          string
		fault           string
	}{
		{"a good file", "admin: {listen: \"127.0.0.1:81\", password: geheim}", "", nil, "127.0.0.1:81", ""},
		{"faults elsewhere", "log: {level: loud}\nadmin: {listen: \"127.0.0.1:81\", password: geheim}\nsips: {}\norbits: [{}]", "", nil, "127.0.0.1:81", ""},
		{"a file that can't be parsed", "admin: {listen: \"127.0.0.1:81\"", "", nil, "127.0.0.1:8080", ""},
		{"which the environment beats", "admin: [", "127.0.0.1:82", nil, "127.0.0.1:82", ""},
		{"which a flag beats", "log: {}", "127.0.0.1:82", []string{"--admin-listen=127.0.0.1:83"}, "127.0.0.1:83", ""},
		{"a faulty flag of another key", "log: {}", "", []string{"--sip-listen=x"}, "127.0.0.1:8080", ""},
		{"a fault of its own", "log: {level: loud}\nadmin: {listen: nowhere}", "", nil, "",
			`parkd.yaml:2: admin.listen: "nowhere" is not an address with a port, such as 127.0.0.1:8080`},
		{"no table", "admin: 8080", "", nil, "", "parkd.yaml:1: admin: a table of keys is expected, not a number"},
		{"turned off", "admin: {listen: \"\"}", "", nil, "", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("PARKD_ADMIN_LISTEN", row.env)
			got, err := LoadAdmin(write(t, "parkd.yaml", row.text), flags(t, row.args...))
			if (err == nil) != (row.fault == "") || err != nil && err.Error() != row.fault {
				t.Fatalf("error %v, want %q", err, row.fault)
			}
			if err == nil && got.Listen != row.listen {
				t.Errorf("listen %q, want %q", got.Listen, row.listen)
			}
			if row.name == "faults elsewhere" && got.Password.Reveal() != "geheim" {
				t.Errorf("password %q", got.Password.Reveal())
			}
		})
	}
	if _, err := LoadAdmin("none.yaml", nil); err == nil || err.Error() != "none.yaml: no such file or directory" {
		t.Errorf("no file: %v", err)
	}
}

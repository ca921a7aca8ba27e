package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is a temporary one, by the path that has no symbolic links.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// looked is files as they are now.
func looked(paths ...string) map[string]State {
	files := map[string]State{}
	for _, path := range paths {
		files[path] = Look(path)
	}
	return files
}

// watching is a watcher of real files that hears of changes from the system only.
type watching struct {
	t     *testing.T
	name  string
	calls chan struct{}
	again chan struct{}
	paths chan []string // the answer of Files from now on
}

func start(t *testing.T, paths ...string) *watching {
	t.Helper()
	w := &watching{t, t.Name(), make(chan struct{}, 100), make(chan struct{}), make(chan []string, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watcher := newWatcher(Options{
			Files: func() map[string]State {
				select {
				case paths = <-w.paths:
				default:
				}
				return looked(paths...)
			},
			Changed: func() { w.calls <- struct{}{} },
			Again:   w.again,
			Failed:  func(err error) { t.Errorf("failed: %v", err) },
		})
		watcher.soon, watcher.seldom = time.Hour, time.Hour // nothing is found by looking
		defer watcher.listen()()
		watcher.run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	w.settle()
	return w
}

// settle returns once everything is watched that Files lists.
func (w *watching) settle() {
	w.t.Helper()
	for range 2 { // the second is taken when the first has been dealt with
		select {
		case w.again <- struct{}{}:
		case <-time.After(10 * time.Second):
			w.t.Fatal("the watcher is stuck")
		}
	}
}

// one waits for a call of each, and that there is no second one.
func one(watchers ...*watching) {
	for _, w := range watchers {
		w.t.Helper()
		select {
		case <-w.calls:
		case <-time.After(20 * time.Second):
			w.t.Errorf("%s: not noticed", w.name)
		}
	}
	none(watchers...)
}

func none(watchers ...*watching) {
	<-time.After(2 * quiet) // nothing tells of what does not happen
	for _, w := range watchers {
		w.t.Helper()
		if n := len(w.calls); n > 0 {
			w.t.Errorf("%s: %d calls without a change", w.name, n)
		}
	}
}

// Each way in which files change is one call, and the next change is noticed, too.
func TestFiles(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		before func(t *testing.T, path string) // nil: the file is there
		change func(t *testing.T, path string)
	}{
		{"written in place", nil, func(t *testing.T, path string) { write(t, path, "new") }},
		{"written in place, as long as before", nil, func(t *testing.T, path string) { write(t, path, "two") }},
		{"renamed over", nil, func(t *testing.T, path string) {
			write(t, path+"~", "new")
			must(t, os.Rename(path+"~", path))
		}},
		{"moved in from elsewhere", nil, func(t *testing.T, path string) {
			other := filepath.Join(folder(t), "x")
			write(t, other, "new")
			must(t, os.Rename(other, path))
		}},
		{"moved away and written anew", nil, func(t *testing.T, path string) { // as vim with backupcopy=no
			must(t, os.Rename(path, path+"~"))
			write(t, path, "new")
			must(t, os.Remove(path+"~"))
		}},
		{"deleted and made again", nil, func(t *testing.T, path string) {
			must(t, os.Remove(path))
			write(t, path, "new")
		}},
		{"deleted", nil, func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		{"made", func(*testing.T, string) {}, func(t *testing.T, path string) { write(t, path, "new") }},
		{"made with its folders", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) },
			func(t *testing.T, path string) {
				must(t, os.MkdirAll(filepath.Dir(path), 0o700))
				write(t, path, "new")
			}},
		{"its mode", nil, func(t *testing.T, path string) { must(t, os.Chmod(path, 0o400)) }},
		{"a burst of writes", nil, func(t *testing.T, path string) {
			for i := range 100 {
				write(t, path, fmt.Sprint(i))
			}
		}},
		{"its folder deleted and made again", nil, func(t *testing.T, path string) {
			must(t, os.RemoveAll(filepath.Dir(path)))
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			write(t, path, "new")
		}},
		{"another folder in the place of its own", nil, func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			must(t, os.Mkdir(dir+".new", 0o700))
			write(t, filepath.Join(dir+".new", filepath.Base(path)), "new")
			must(t, os.Rename(dir, dir+".old"))
			must(t, os.Rename(dir+".new", dir))
		}},
		{"the target of a link", func(t *testing.T, path string) {
			write(t, path+".target", "old")
			must(t, os.Symlink(filepath.Base(path)+".target", path))
		}, func(t *testing.T, path string) { write(t, path+".target", "new") }},
		{"a link to another target", func(t *testing.T, path string) {
			write(t, path+".1", "old")
			write(t, path+".2", "new")
			must(t, os.Symlink(path+".1", path))
		}, func(t *testing.T, path string) {
			must(t, os.Symlink(path+".2", path+".link"))
			must(t, os.Rename(path+".link", path))
		}},
		{"a volume of Kubernetes", func(t *testing.T, path string) {
			mount := volume(t, path, "1")
			must(t, os.Symlink("..1", filepath.Join(mount, "..data")))
			must(t, os.Symlink("..data/"+filepath.Base(path), path))
		}, func(t *testing.T, path string) {
			mount := volume(t, path, "2")
			must(t, os.Symlink("..2", filepath.Join(mount, "..data_tmp")))
			must(t, os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
			must(t, os.RemoveAll(filepath.Join(mount, "..1")))
		}},
	}
	// All of them at once: each waits for its files to be left alone.
	paths, watchers := make([]string, len(rows)), make([]*watching, len(rows))
	for i, row := range rows {
		path := filepath.Join(folder(t), "etc", "parkd", "parkd.yaml")
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		if row.before != nil {
			row.before(t, path)
		} else {
			write(t, path, "old")
		}
		paths[i], watchers[i] = path, start(t, path)
		watchers[i].name = row.name
	}
	for i, row := range rows {
		row.change(t, paths[i])
	}
	one(watchers...)
	for _, path := range paths {
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		_ = os.Remove(path)
		write(t, path, "the next")
	}
	one(watchers...)
}

// volume makes a version of a mounted volume with the file in it.
func volume(t *testing.T, path, version string) (mount string) {
	t.Helper()
	mount = filepath.Dir(path)
	must(t, os.Mkdir(filepath.Join(mount, ".."+version), 0o700))
	write(t, filepath.Join(mount, ".."+version, filepath.Base(path)), version)
	return mount
}

// What Files lists after a call, or after a value of Again, is watched instead.
func TestOtherPaths(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "music", "b")
	must(t, os.Mkdir(filepath.Dir(b), 0o700))
	w := start(t, a)
	write(t, b, "not yet")
	none(w)
	w.paths <- []string{b}
	write(t, a, "new")
	one(w)
	write(t, a, "no longer")
	none(w)
	write(t, b, "new")
	one(w)
	w.paths <- []string{a, b}
	w.settle()
	write(t, a, "again")
	one(w)
}

func TestOtherFiles(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	path := filepath.Join(dir, "parkd.yaml")
	write(t, path, "old")
	w := start(t, path)
	write(t, path+"~", "x")
	write(t, filepath.Join(dir, "parkd"), "x")
	must(t, os.Rename(path+"~", filepath.Join(dir, "y")))
	must(t, os.Mkdir(filepath.Join(dir, "z"), 0o700))
	if _, err := os.ReadFile(path); err != nil { // reading is no change
		t.Fatal(err)
	}
	none(w)
}

func TestPlaces(t *testing.T) {
	dir := folder(t)
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	write(t, filepath.Join(dir, "a", "b", "file"), "")
	for link, target := range map[string]string{
		"up": "a/../a/./b", "abs": filepath.Join(dir, "up"), "loop": "loop", "dead": "a/none/file",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	in := func(sub, name string) place { return place{filepath.Join(dir, sub), name, false} }
	end := func(sub, name string) place { return place{filepath.Join(dir, sub), name, true} }
	rows := []struct {
		path string
		want []place
	}{
		{"a/b/file", []place{end("a/b", "file")}},
		{"a/b/none", []place{end("a/b", "none")}},
		{"a/none/file", []place{in("a", "none")}},
		{"a//b/./file/", []place{end("a/b", "file")}},
		{"up/file", []place{in("", "up"), end("a/b", "file")}},
		{"abs/file", []place{in("", "abs"), in("", "up"), end("a/b", "file")}},
		{"dead", []place{in("", "dead"), in("a", "none")}},
		{"a/b/file/x", []place{end("a/b/file", "x")}},
	}
	for _, row := range rows {
		if got := places(dir + "/" + row.path); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", row.path, got, row.want)
		}
	}
	if got := places(filepath.Join(dir, "loop")); len(got) != maxLinks+1 {
		t.Errorf("a link to itself: %d places", len(got))
	}
}

// Watch as it is used: a change is passed on, and the end of ctx ends it.
func TestWatch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(folder(t), "parkd.yaml")
	ctx, cancel := context.WithCancel(t.Context())
	calls, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, Options{Files: func() map[string]State { return looked(path) }, Changed: func() { calls <- struct{}{} }})
	}()
	write(t, path, "new") // before or after it begins to watch: one is the other's start
	for {
		select {
		case <-calls:
			cancel()
			<-ended
			return
		case <-time.After(2 * quiet):
			write(t, path, "new")
		}
	}
}

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// asideName returns a path beside the file that is not taken:
// parkd.db.<kind>-20261123T180000Z, with -2, -3 … for more in one second.
func asideName(path, kind string, now time.Time) string {
	name := path + "." + kind + "-" + now.UTC().Format("20060102T150405Z")
	for n, try := 2, name; ; n++ {
		if _, err := os.Lstat(try); errors.Is(err, os.ErrNotExist) {
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

// replace puts the file made at fresh in the place of the one at path, which
// goes to aside ("": nowhere). At every moment there is a file at path, unless
// the file system has no hard links or a directory is in the way.
func replace(path, fresh, aside string) error {
	linked := false
	if aside != "" {
		err := os.Link(path, aside)
		if linked = err == nil; !linked {
			err = os.Rename(path, aside)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err := os.Rename(fresh, path)
	if err != nil && linked {
		_ = os.Remove(aside)
	}
	return err
}

// syncDir makes the names in the directory of a file durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

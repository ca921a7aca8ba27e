package watch

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks bounds the symbolic links of one path, as Linux does (path_resolution(7)).
const maxLinks = 40

// place is a name in a folder whose own path has no symbolic links.
type place struct {
	dir, name string
	end       bool // nothing comes after it: it is the file, if it is there
}

// places lists where a change can give an absolute path another meaning: at each
// symbolic link along it, and at its end, or at the first step that is not there.
// A folder on the way that is renamed while it is not empty is found by inspect.
func places(path string) []place {
	root := filepath.VolumeName(path) + string(filepath.Separator)
	dir, steps := root, parts(path)
	var out []place
	for links := 0; len(steps) > 0; {
		name := steps[0]
		steps = steps[1:]
		if name == ".." {
			dir = filepath.Dir(dir)
			continue
		}
		full := filepath.Join(dir, name)
		info, err := os.Lstat(full)
		switch {
		case err == nil && info.Mode()&fs.ModeSymlink != 0:
			out = append(out, place{dir, name, false})
			target, err := os.Readlink(full)
			if links++; err != nil || links > maxLinks {
				return out
			}
			if filepath.IsAbs(target) {
				dir = root
			}
			steps = append(parts(target), steps...)
		case err != nil || len(steps) == 0:
			return append(out, place{dir, name, len(steps) == 0})
		default:
			dir = full
		}
	}
	return out
}

// parts are the steps of a path, without its volume.
func parts(path string) []string {
	path = path[len(filepath.VolumeName(path)):]
	var out []string
	for step := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if step != "" && step != "." {
			out = append(out, step)
		}
	}
	return out
}

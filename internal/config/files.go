package config

import (
	"path/filepath"
	"slices"
)

// builtinMusic ships inside the program: it is no file of the music directory.
const builtinMusic = "default"

// Files lists every file that the configuration was read from or names, as sorted
// absolute paths: the configuration file, certificates and keys, the music of the
// orbits. Whether they are there it does not look.
func (c *Config) Files() []string {
	named := []string{c.File, c.SIP.TLS.Cert, c.SIP.TLS.Key, c.SIP.TLS.ClientCA}
	played := map[string]bool{c.Defaults.Music: true}
	for i := range c.Orbits {
		played[c.Orbits[i].Music] = true
	}
	for music := range played {
		if music != builtinMusic {
			named = append(named, c.musicFile(music))
		}
	}
	var files []string
	for _, path := range named {
		if path != "" {
			files = append(files, absolute(path))
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// musicFile is where the music of a name is.
func (c *Config) musicFile(music string) string {
	return filepath.Join(c.Media.MusicDir, music+".wav")
}

// absolute is a path that holds whatever the working directory is, or the path
// itself where there is no working directory any more.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

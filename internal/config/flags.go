package config

import (
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// shown are the keys whose flags --help lists; the others have one too.
var shown = map[string]string{
	"log.level":           "how much is logged: trace debug info warn error",
	"log.format":          "auto, console or json",
	"data_dir":            "where state is kept",
	"shutdown":            "what SIGTERM does with parked calls: keep drain return",
	"sip.listen":          "listeners, comma separated, such as udp://:5060,tcp://:5060",
	"sip.advertise":       "address that phones reach, when not the local one",
	"media.ports":         "UDP ports for sound, such as 10000-32767",
	"media.music_dir":     "where music is, relative to the configuration file",
	"media.announcements": "folder of spoken words in place of the built-in ones, relative to the configuration file",
	"admin.listen":        "address of the HTTP interface",
}

// Flags adds a flag for every key that has a value of its own: --sip-listen for
// sip.listen. Secrets have none, because command lines can be seen by everyone.
func Flags(set *pflag.FlagSet) {
	for _, k := range leafKeys(reflect.ValueOf(Default()), "", nil) {
		if k.secret {
			continue
		}
		name := flagName(k.key)
		usage, visible := shown[k.key]
		if !visible {
			usage = k.key
		}
		set.String(name, "", usage)
		f := set.Lookup(name)
		f.DefValue = strings.Join(k.leaf.texts(k.value.Interface()), ",")
		f.Hidden = !visible
		if k.leaf.kind == boolean {
			f.NoOptDefVal = "true"
		}
	}
}

// flagName is the flag of a key.
func flagName(key string) string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(key)
}

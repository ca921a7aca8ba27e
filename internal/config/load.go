package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// searched are the files that are looked for when none is named.
var searched = []string{"parkd.yaml", "/etc/parkd/parkd.yaml"}

const envPrefix = "PARKD_"

// Load reads the file at path (empty: the first of ./parkd.yaml and
// /etc/parkd/parkd.yaml that is there, else none), PARKD_ environment variables
// and the flags that Flags added (nil: none), each beating the one before. The
// error is Faults: all of them at once.
func Load(path string, flags *pflag.FlagSet) (Config, error) {
	return load(path, flags, nil)
}

// Reload reads the configuration that old came from anew: the same file, or if old
// came from none, the one that is there by now; else as Load. That the file of music
// that old names is gone is no fault, for the default music can play instead.
func Reload(old *Config, flags *pflag.FlagSet) (Config, error) {
	had := map[string]bool{old.Defaults.Music: true}
	for i := range old.Orbits {
		had[old.Orbits[i].Music] = true
	}
	return load(old.File, flags, had)
}

// load reads a configuration whose music may be without a file if its name is in had.
func load(path string, flags *pflag.FlagSet, had map[string]bool) (Config, error) {
	if path == "" {
		path = search()
	}
	c := newChecker(path)
	file, err := c.readFile(path)
	if err != nil {
		return Config{}, Faults{*err}
	}
	entries, own := file["orbits"].([]any)
	delete(file, "orbits") // each of them is read over the defaults
	cfg, err := c.merge(file, flags)
	if err != nil {
		return Config{}, Faults{*err}
	}
	keys := func(i int) string { return fmt.Sprintf("orbits[%d]", i) }
	if _, given := c.at["orbits"]; !given {
		cfg.Orbits = builtinOrbits(cfg.Defaults)
	} else if own {
		cfg.Orbits, keys = c.orbits(entries, cfg.Defaults)
	}
	c.poolDefaults(cfg.Pools)
	cfg.normalize()
	cfg.validate(&c.report, keys)
	cfg.validateMusic(&c.report, keys, had)
	if faults := c.result(); len(faults) > 0 {
		return Config{}, faults
	}
	return cfg, nil
}

// LoadAdmin reads no more than the section admin, from the same sources as Load:
// how the running server is found by whoever wants to tell it of a change, or to
// hear what is wrong with one. Faults elsewhere do not matter, and a file that
// can't be parsed counts as one without the section. The error is Faults.
func LoadAdmin(path string, flags *pflag.FlagSet) (Admin, error) {
	if path == "" {
		path = search()
	}
	c := newChecker(path)
	file, err := c.readFile(path)
	if err != nil && !err.syntax {
		return Admin{}, Faults{*err}
	}
	only := map[string]any{}
	if section, there := file["admin"]; there {
		only["admin"] = section
	}
	cfg, err := c.merge(only, flags)
	if err != nil {
		return Admin{}, Faults{*err}
	}
	cfg.Admin.validate(&c.report)
	c.faults = slices.DeleteFunc(c.faults, func(f Fault) bool { return f.Key != "admin" && !strings.HasPrefix(f.Key, "admin.") })
	return cfg.Admin, c.result().orNil()
}

func search() string {
	for _, path := range searched {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// readFile reads the file and hands on what is right in it. Its error is a fault
// that makes looking for others pointless.
func (c *checker) readFile(path string) (map[string]any, *Fault) {
	if path == "" {
		return map[string]any{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		var reason *os.PathError
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return nil, &Fault{Source: path, Text: err.Error()}
	}
	root, err := parse(path, data)
	if err != nil {
		var at *syntaxError
		errors.As(err, &at)
		return nil, &Fault{Source: path, Line: at.line, Text: at.text, syntax: true}
	}
	return c.table(root, reflect.TypeFor[Config](), ""), nil
}

// merge lays environment and flags over what a file holds, and that over the
// defaults. Its error is as that of readFile.
func (c *checker) merge(file map[string]any, flags *pflag.FlagSet) (Config, *Fault) {
	v := viper.New()
	setDefaults(v)
	if err := v.MergeConfigMap(file); err != nil {
		return Config{}, &Fault{Source: c.file, Text: err.Error()}
	}
	c.environment(v)
	c.flags(v, flags)
	cfg := Config{File: c.file}
	if err := v.Unmarshal(&cfg, viper.DecodeHook(hook)); err != nil {
		return Config{}, &Fault{Source: c.file, Text: err.Error()}
	}
	return cfg, nil
}

// setDefaults makes every key known to viper, with its default as text.
func setDefaults(v *viper.Viper) {
	d := Default()
	for _, k := range leafKeys(reflect.ValueOf(d), "", nil) {
		v.SetDefault(k.key, k.leaf.texts(k.value.Interface()))
	}
	if dirs := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		v.SetDefault("data_dir", dirs[0]) // systemd.exec(5), StateDirectory=
	}
}

// leafKey is a key with its value, at any depth but not inside a list of tables.
type leafKey struct {
	key    string
	leaf   leaf
	value  reflect.Value
	secret bool
}

// leafKeys lists the keys below v that hold a value of their own.
func leafKeys(v reflect.Value, prefix string, out []leafKey) []leafKey {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("mapstructure")
		if name == "-" {
			continue
		}
		l, isLeaf := leaves[f.Type]
		switch {
		case isLeaf:
			out = append(out, leafKey{join(prefix, name), l, v.Field(i), f.Type == reflect.TypeFor[Secret]()})
		case f.Type.Kind() == reflect.Struct:
			out = leafKeys(v.Field(i), join(prefix, name), out)
		}
	}
	return out
}

// envName is the environment variable of a key: PARKD_SIP_ADVERTISE.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// environment binds the variables that are set and right.
func (c *checker) environment(v *viper.Viper) {
	for _, k := range leafKeys(reflect.ValueOf(Config{}), "", nil) {
		name := envName(k.key)
		if s := os.Getenv(name); s != "" && c.outside(name, k, s) {
			_ = v.BindEnv(k.key, name) // fails without a name only
		}
	}
}

// flags binds the flags that were given and are right.
func (c *checker) flags(v *viper.Viper, set *pflag.FlagSet) {
	if set == nil {
		return
	}
	for _, k := range leafKeys(reflect.ValueOf(Config{}), "", nil) {
		f := set.Lookup(flagName(k.key))
		if f != nil && f.Changed && c.outside("--"+f.Name, k, f.Value.String()) {
			_ = v.BindPFlag(k.key, f) // fails without a flag only
		}
	}
}

// outside checks a value from outside the file, which from now on stands for its key.
func (c *checker) outside(source string, k leafKey, s string) bool {
	if _, err := k.leaf.parse(k.leaf.split(s)); err != nil {
		only := report{file: source}
		only.invalid(k.key, err, false)
		c.faults = append(c.faults, only.faults...)
		return false
	}
	for at := range c.at { // sip.listen[1] of the file holds no more
		if strings.HasPrefix(at, k.key+"[") {
			delete(c.at, at)
		}
	}
	c.at[k.key] = position{source: source}
	return true
}

// hook reads the texts that viper holds as what they are in Config.
func hook(_, to reflect.Type, data any) (any, error) {
	l, ok := leaves[to]
	if !ok {
		return data, nil
	}
	switch d := data.(type) {
	case string: // of the environment or a flag
		return l.parse(l.split(d))
	case []string:
		return l.parse(d)
	}
	return data, nil
}

// orbits reads the entries of the key orbits, each over the defaults, and expands
// their ranges. keys names the entry that an orbit came from.
func (c *checker) orbits(entries []any, defaults Options) (orbits []Orbit, keys func(int) string) {
	var from []string
	for i, raw := range entries {
		key := fmt.Sprintf("orbits[%d]", i)
		o := Orbit{Options: defaults}
		if err := decode(raw, &o); err != nil {
			c.add(key, err.Error())
			continue
		}
		if o.Extension == "" {
			if _, set := c.at[key+".extension"]; !set {
				c.add(key, "extension is missing")
				continue
			}
		}
		extensions, err := expand(o.Extension)
		if err != nil {
			if _, ok := raw.(map[string]any)["extension"]; ok { // else it has a fault already
				c.add(key+".extension", err.Error())
			}
			continue
		}
		for _, e := range extensions {
			o.Extension = e
			orbits = append(orbits, o)
			from = append(from, key)
		}
	}
	return orbits, func(i int) string { return from[i] }
}

func decode(raw, target any) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: target, DecodeHook: hook, ErrorUnused: true,
	})
	if err != nil {
		return err
	}
	return d.Decode(raw)
}

// normalize writes names that have no case in one way, and paths that are relative
// to the file in a way that holds in the working directory.
func (c *Config) normalize() {
	for i, name := range c.Media.Codecs {
		c.Media.Codecs[i] = strings.ToUpper(name)
	}
	for i, name := range c.SIP.Domains {
		c.SIP.Domains[i] = strings.ToLower(name)
	}
	for i := range c.SIP.Register {
		c.SIP.Register[i].complete()
	}
	dir := filepath.Dir(c.File)
	if dir == "." {
		return
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	for _, p := range []*string{&c.SIP.TLS.Cert, &c.SIP.TLS.Key, &c.SIP.TLS.ClientCA, &c.Media.MusicDir, &c.Media.Announcements} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

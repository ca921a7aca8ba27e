// Package config turns a configuration file, PARKD_ environment variables and
// command line flags into one validated Config. It promises that a Config that
// Load returns needs no further check, that every fault is reported at once with
// the file, line and key it was made at, and that no secret is ever printed.
//
// Besides the file itself it looks only at whether music files exist and how many
// files may be open; it does not open sockets, certificates or the data directory.
package config

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"time"
)

// Config is the whole configuration: every key has a value, every orbit its own
// full set of them. It is a value that nobody changes once it is loaded.
type Config struct {
	// File is the file that was read; empty when there was none.
	File string `mapstructure:"-"`

	Log      Log     `mapstructure:"log"`
	DataDir  string  `mapstructure:"data_dir"` // relative to the working directory
	Shutdown string  `mapstructure:"shutdown"` // what SIGTERM does with parked calls: keep, drain, return
	SIP      SIP     `mapstructure:"sip"`
	Access   Access  `mapstructure:"access"`
	Media    Media   `mapstructure:"media"`
	Park     Park    `mapstructure:"park"`
	Return   Return  `mapstructure:"return"`
	Defaults Options `mapstructure:"defaults"`
	Phones   []Phone `mapstructure:"phones"`
	Orbits   []Orbit `mapstructure:"orbits"`
	Lists    []List  `mapstructure:"lists"`
	Pools    []Pool  `mapstructure:"pools"`
	Admin    Admin   `mapstructure:"admin"`
	Store    Store   `mapstructure:"store"`
}

// Log is the log's level (trace, debug, info, warn, error) and format (auto,
// console, json).
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// SIP is the endpoint that phones and switches talk to.
type SIP struct {
	Listen        []Listen      `mapstructure:"listen"`
	Advertise     string        `mapstructure:"advertise"` // host or address without a port; empty = the local address
	Domains       []string      `mapstructure:"domains"`   // lower case
	OutboundProxy string        `mapstructure:"outbound_proxy"`
	NATKeepalive  time.Duration `mapstructure:"nat_keepalive"` // of the ways to watchers behind NAT; 0 = never
	TLS           TLS           `mapstructure:"tls"`
	Credentials   []Credential  `mapstructure:"credentials"`
	Register      []Register    `mapstructure:"register"`
}

// Register has orbits appear as extensions of a hosted PBX. With {extension} in
// Username each of Orbits is an account of its own, else there is one account,
// whose calls come to the first of Orbits.
type Register struct {
	Orbits    Extensions    `mapstructure:"orbits"`    // extensions of orbits and pools
	Registrar string        `mapstructure:"registrar"` // sip:pbx.example.com;transport=tcp
	Domain    string        `mapstructure:"domain"`    // of the accounts; empty = the registrar's host
	Username  string        `mapstructure:"username"`
	Password  Secret        `mapstructure:"password"`
	Realm     string        `mapstructure:"realm"` // of the password; empty = any
	Expires   time.Duration `mapstructure:"expires"`
	Keepalive time.Duration `mapstructure:"keepalive"`
	Contact   string        `mapstructure:"contact"` // further parameters of the Contact: ;q=0.5
}

// TLS names PEM files; Load has made relative ones absolute, from the folder of the
// configuration file.
type TLS struct {
	Cert     string `mapstructure:"cert"`
	Key      string `mapstructure:"key"`
	ClientCA string `mapstructure:"client_ca"` // set: clients must show a certificate of this authority
}

// Credential answers challenges to our own requests; an empty realm fits any.
type Credential struct {
	Realm    string `mapstructure:"realm"`
	Username string `mapstructure:"username"`
	Password Secret `mapstructure:"password"`
}

// Access says who is served without a password, who with one, whom a return or
// transfer may call, and who may retrieve.
type Access struct {
	Trusted     []netip.Prefix `mapstructure:"trusted"`
	Realm       string         `mapstructure:"realm"`
	Users       []User         `mapstructure:"users"`
	ReturnUsers *regexp.Regexp `mapstructure:"return_users"` // never nil
	ReferUsers  *regexp.Regexp `mapstructure:"refer_users"`  // never nil
	// RetrieveUsers may retrieve: names that authenticated, else users of From. Never
	// nil; empty = everybody who is served.
	RetrieveUsers *regexp.Regexp `mapstructure:"retrieve_users"`
}

// User is somebody beyond the trusted addresses; exactly one of Password and HA1
// is set. HA1 is the hex of MD5 or SHA-256 of username:realm:password (RFC 7616 3.4.2).
type User struct {
	Username string `mapstructure:"username"`
	Password Secret `mapstructure:"password"`
	HA1      Secret `mapstructure:"ha1"`
}

// Media is what parkd sends and receives sound with.
type Media struct {
	Address  netip.Addr `mapstructure:"address"` // not valid = the local address towards the peer
	Ports    PortRange  `mapstructure:"ports"`
	Codecs   []string   `mapstructure:"codecs"`    // in our order of preference: PCMU PCMA G722
	SRTP     string     `mapstructure:"srtp"`      // off, optional, required
	DSCP     int        `mapstructure:"dscp"`      // of RTP and RTCP packets: 0 to 63 (RFC 2474 3)
	Latch    string     `mapstructure:"latch"`     // auto, always, never
	MusicDir string     `mapstructure:"music_dir"` // made absolute as in TLS

	Announcements string `mapstructure:"announcements"` // folder of words of one's own; made absolute as in TLS
}

// Park bounds what may be parked, and says how a park and a retrieve look.
type Park struct {
	RetrieveCodes []string      `mapstructure:"retrieve_codes"`
	MaxCalls      int           `mapstructure:"max_calls"`
	MaxTime       time.Duration `mapstructure:"max_time"` // 0 = never
	ParkerHeaders []string      `mapstructure:"parker_headers"`
	Keepalive     time.Duration `mapstructure:"keepalive"`
	TimeoutRange  DurationRange `mapstructure:"timeout_range"`
}

// Return is how the call looks that brings a parked caller back.
type Return struct {
	Display   string `mapstructure:"display"`    // with {orbit} {name} {caller} {number}
	AlertInfo string `mapstructure:"alert_info"` // value of the header, empty = none
}

// Options are the values that an orbit takes from defaults unless it has its own.
type Options struct {
	Enabled       bool     `mapstructure:"enabled"`
	Music         string   `mapstructure:"music"`
	AllowMultiple bool     `mapstructure:"allow_multiple"`
	MaxCalls      int      `mapstructure:"max_calls"` // counts with AllowMultiple only; 0 = no limit of its own
	Timeout       Timeout  `mapstructure:"timeout"`
	Transfer      Transfer `mapstructure:"transfer"`
	Retrieve      string   `mapstructure:"retrieve"` // bridge, direct, refer
	Lamp          Lamp     `mapstructure:"lamp"`
}

// Timeout says when and how an unfetched call goes back to its parker.
type Timeout struct {
	Enabled       bool          `mapstructure:"enabled"`
	Action        string        `mapstructure:"action"` // parker, fallback, keep
	After         time.Duration `mapstructure:"after"`
	Ring          time.Duration `mapstructure:"ring"`
	Fallback      string        `mapstructure:"fallback"` // extension; empty = none
	FallbackAfter int           `mapstructure:"fallback_after"`
	Confirm       bool          `mapstructure:"confirm"`
}

// Transfer is the key with which a parked caller goes back to the parker.
type Transfer struct {
	Enabled bool   `mapstructure:"enabled"`
	Key     string `mapstructure:"key"` // one of 0-9 * #
}

// Lamp is how an orbit's lamp shows a call (early, confirmed), whose plain INVITE is
// taken for a press (watchers, always, never), and how much of the caller is shown
// to those who may retrieve (full, number, none).
type Lamp struct {
	State    string `mapstructure:"state"`
	Press    string `mapstructure:"press"`
	Identity string `mapstructure:"identity"`
}

// Phone is what lamps look like to phones of a kind. What is empty is as parkd has
// it for that make, and then as everybody has it.
type Phone struct {
	UserAgent *regexp.Regexp `mapstructure:"user_agent"` // nil, which Validate refuses, if it is missing
	State     string         `mapstructure:"state"`      // early, confirmed: whatever an orbit says
	Rendering string         `mapstructure:"rendering"`  // pval, pvalue, none
	Target    string         `mapstructure:"target"`     // orbit, code
	IDs       string         `mapstructure:"ids"`        // alias, none
	Presence  string         `mapstructure:"presence"`   // busy, closed
}

// Orbit is one place to park calls at, with everything that holds for it.
type Orbit struct {
	Extension   string `mapstructure:"extension"`
	Name        string `mapstructure:"name"`
	Description string `mapstructure:"description"`
	Options     `mapstructure:",squash"`
}

// List is an event list beside the built-in ones.
type List struct {
	Name   string     `mapstructure:"name"`
	Orbits Extensions `mapstructure:"orbits"`
}

// Pool is an extension that hands calls to a free one of its orbits.
type Pool struct {
	Extension string     `mapstructure:"extension"`
	Orbits    Extensions `mapstructure:"orbits"`
	Pick      string     `mapstructure:"pick"`     // first, next, random, longest-free
	Overflow  string     `mapstructure:"overflow"` // a pool, an orbit, else an extension of the PBX; empty = none
	Announce  bool       `mapstructure:"announce"` // tell the orbit to whoever dials the pool
	Message   bool       `mapstructure:"message"`  // send it to whoever transfers a call here
}

// Admin is the HTTP interface; an empty Listen turns it off.
type Admin struct {
	Listen   string `mapstructure:"listen"`
	Password Secret `mapstructure:"password"`
}

// Store is where calls are kept: bolt (a file in DataDir) or memory.
type Store struct {
	Kind string `mapstructure:"kind"`
}

// Listen is one SIP listener. A Host that is not valid means every address.
type Listen struct {
	Network string // udp, tcp, tls
	Host    netip.Addr
	Port    uint16
}

// Address is the listener's host:port as package net takes it.
func (l Listen) Address() string {
	host := ""
	if l.Host.IsValid() {
		host = l.Host.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(l.Port)))
}

// String is the listener as it is written in the file: udp://:5060.
func (l Listen) String() string { return l.Network + "://" + l.Address() }

// PortRange is a range of UDP ports, both ends included.
type PortRange struct{ Low, High uint16 }

// Pairs is how many RTP streams the range has ports for: an even port and the
// odd one above it each (RFC 3550 11).
func (p PortRange) Pairs() int {
	low := int(p.Low) + int(p.Low)%2
	return max(0, (int(p.High)-low+1)/2)
}

// String is the range as it is written in the file: 10000-32767.
func (p PortRange) String() string {
	return strconv.Itoa(int(p.Low)) + "-" + strconv.Itoa(int(p.High))
}

// DurationRange is a range of durations, both ends included.
type DurationRange struct{ Min, Max time.Duration }

// Extensions is a list of extensions whose ranges have been expanded.
type Extensions []string

const mask = "********"

// Secret is a text that no way of printing shows.
type Secret string

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String is a mask, or nothing if there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks the secret under %#v as well.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText masks the secret in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Default is the configuration without a file: what configs/parkd.yaml says,
// with the built-in orbits 701-710.
func Default() Config {
	c := Config{
		Log:      Log{Level: "info", Format: "auto"},
		DataDir:  "parkd-data",
		Shutdown: "keep",
		SIP: SIP{
			Listen:       []Listen{{Network: "udp", Port: 5060}, {Network: "tcp", Port: 5060}},
			NATKeepalive: 25 * time.Second, // RFC 5626 4.4.2: below what most NATs keep UDP for
		},
		Access: Access{
			Trusted: []netip.Prefix{
				netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
				netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
			},
			Realm:       "parkd",
			ReturnUsers: regexp.MustCompile(`^([0-9]{2,6}|[a-z][a-z0-9._-]*)$`),
			ReferUsers:  regexp.MustCompile(`^([0-9]{2,6}|[a-z][a-z0-9._-]*)$`),

			RetrieveUsers: regexp.MustCompile(""),
		},
		Media: Media{
			Ports:    PortRange{10000, 32767},
			Codecs:   []string{"PCMU", "PCMA", "G722"},
			DSCP:     46, // EF (RFC 3246): telephony (RFC 4594 4.1)
			SRTP:     "optional",
			Latch:    "auto",
			MusicDir: "music",
		},
		Park: Park{
			RetrieveCodes: []string{"*4", "*78", "**"},
			MaxCalls:      10000,
			MaxTime:       24 * time.Hour,
			ParkerHeaders: []string{"Referred-By", "X-Parked-By"},
			Keepalive:     5 * time.Minute,
			TimeoutRange:  DurationRange{30 * time.Second, 5 * time.Minute},
		},
		Return: Return{Display: "{orbit} {caller}", AlertInfo: "<urn:alert:service:recall:transfer>"}, // RFC 7462
		Defaults: Options{
			Enabled:  true,
			Music:    builtinMusic,
			Timeout:  Timeout{Enabled: true, Action: "parker", After: 2 * time.Minute, Ring: 15 * time.Second, FallbackAfter: 3},
			Transfer: Transfer{Key: "0"},
			Retrieve: "bridge",
			Lamp:     Lamp{State: "early", Press: "watchers", Identity: "full"},
		},
		Admin: Admin{Listen: "127.0.0.1:8080"},
		Store: Store{Kind: "bolt"},
	}
	c.Orbits = builtinOrbits(c.Defaults)
	return c
}

// builtinOrbits are the orbits of a configuration without the key orbits.
func builtinOrbits(o Options) []Orbit {
	var orbits []Orbit
	for n := 701; n <= 710; n++ {
		orbits = append(orbits, Orbit{Extension: strconv.Itoa(n), Options: o})
	}
	return orbits
}

package server

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/register"
	"parkd/internal/sipua"
)

func TestAccounts(t *testing.T) {
	c := config.Default()
	c.SIP.Register = []config.Register{
		{Orbits: config.Extensions{"701", "702"}, Registrar: "sip:pbx.example.com;transport=tcp", Username: "park-{extension}", Password: "a", Expires: time.Hour},
		{Orbits: config.Extensions{"703", "704"}, Registrar: "sip:192.0.2.1", Domain: "example.com", Username: "trunk", Password: "b", Realm: "r"},
		{Orbits: config.Extensions{"705"}, Registrar: "sip:[2001:db8::1]:5070", Username: "#5", Password: "c"},
	}
	var got []string
	for _, a := range accounts(&c) {
		got = append(got, a.AOR+" "+a.Registrar+" "+a.User)
	}
	want := []string{
		"sip:park-701@pbx.example.com sip:pbx.example.com;transport=tcp 701",
		"sip:park-702@pbx.example.com sip:pbx.example.com;transport=tcp 702",
		"sip:trunk@example.com sip:192.0.2.1 703", // the first of them is called
		"sip:%235@[2001:db8::1] sip:[2001:db8::1]:5070 705",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	of := credentials(&c)
	for user, want := range map[string][]sipua.Credential{
		"702": {{Username: "park-702", Password: "a"}},
		"703": {{Realm: "r", Username: "trunk", Password: "b"}},
		"704": {{Realm: "r", Username: "trunk", Password: "b"}}, // it goes out by the common account, too
		"706": nil,
	} {
		if got := of(user); !slices.Equal(got, want) {
			t.Errorf("%s answers with %v, want %v", user, got, want)
		}
	}
	if got := hosted(&c); !slices.Contains(got, "pbx.example.com") || !slices.Contains(got, "example.com") {
		t.Errorf("domains %q", got)
	}
	if none := config.Default(); credentials(&none) != nil || len(accounts(&none)) != 0 {
		t.Error("accounts without sip.register")
	}
	if n := len(register.States); n != 3 {
		t.Errorf("%d states of a registration label its metric", n)
	}
}

// The instance outlives restarts, and two parkds of one machine have two.
func TestInstance(t *testing.T) {
	a, again, b := config.Default(), config.Default(), config.Default()
	b.DataDir = "elsewhere"
	if !regexp.MustCompile(`^<urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}>$`).MatchString(instance(&a)) {
		t.Errorf("no name-based UUID: %s", instance(&a))
	}
	if instance(&a) != instance(&again) || instance(&a) == instance(&b) {
		t.Error("not the same each time, or the same for two")
	}
}

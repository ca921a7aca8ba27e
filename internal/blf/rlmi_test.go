package blf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func rolls() map[string]Roll {
	member := func(ext, name, cid string) Member {
		return Member{URI: "sip:" + ext + "@192.0.2.1", Name: name, Instance: "0", CID: cid}
	}
	return map[string]Roll{
		"rlmi-full":      {"sip:orbits@192.0.2.1", 0, true, []Member{member("701", "Sales", "0.1@4f2c"), member("702", "", "0.2@4f2c")}},
		"rlmi-roll-call": {"sip:orbits@192.0.2.1", 0, true, []Member{member("701", "Sales", ""), member("702", "", "")}},
		"rlmi-part":      {"sip:orbits@192.0.2.1", 7, false, []Member{member("702", "", "7.1@4f2c")}},
		"rlmi-gone":      {"sip:orbits@192.0.2.1", 8, true, nil},
		"rlmi-escaped":   {"sip:orbits@192.0.2.1;x=&<'\">", 4294967295, true, []Member{member("%237", "A \"B\" <C>\r\n & é", "1@a&b")}},
	}
}

func TestRLMI(t *testing.T) {
	for name, r := range rolls() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".xml")
			got := indent(t, RLMI(r))
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Error(d)
			}
			if fault := rollStructure(RLMI(r), r); fault != "" {
				t.Error(fault)
			}
		})
	}
}

// TestRLMISchema validates with the schema of RFC 4662 5.1.
func TestRLMISchema(t *testing.T) {
	schema := filepath.Join(schemas, "rlmi.xsd")
	lint, err := exec.LookPath("xmllint")
	if _, missing := os.Stat(schema); missing != nil || err != nil {
		t.Log("the schemas or xmllint are not here: only the structural rules were checked")
		return
	}
	args := []string{"--nonet", "--noout", "--schema", schema}
	for name, r := range rolls() {
		file := filepath.Join(t.TempDir(), name+".xml")
		if err := os.WriteFile(file, RLMI(r), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.Command(lint, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// rollStructure is what RFC 4662 5 asks of our documents; "" means fine.
func rollStructure(body []byte, r Roll) string {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(body); err != nil {
		return err.Error()
	}
	root := doc.Root()
	if root.Tag != "list" || root.NamespaceURI() != rlmiNamespace || root.SelectAttrValue("uri", "") != r.URI ||
		root.SelectAttrValue("version", "") != strconv.FormatUint(uint64(r.Version), 10) ||
		root.SelectAttrValue("fullState", "") != strconv.FormatBool(r.Full) {
		return "root"
	}
	list := root.ChildElements()
	if len(list) != len(r.Members) {
		return fmt.Sprint(len(list), " resources")
	}
	for i, e := range list {
		m := r.Members[i]
		if e.Tag != "resource" || e.SelectAttrValue("uri", "") != m.URI {
			return "resource " + m.URI
		}
		if name := e.SelectElement("name"); (name == nil) != (label(m.Name) == "") || name != nil && name.Text() != label(m.Name) {
			return "name of " + m.URI
		}
		instances := e.SelectElements("instance")
		if len(instances) == 0 && m.CID == "" {
			continue
		}
		if len(instances) != 1 || instances[0].SelectAttrValue("state", "") != "active" ||
			instances[0].SelectAttrValue("id", "") != m.Instance || instances[0].SelectAttrValue("cid", "") != m.CID {
			return "instance of " + m.URI
		}
	}
	return ""
}

// Any text gives well-formed RLMI.
func TestAnyRLMI(t *testing.T) {
	text := rapid.Map(rapid.String(), xmlText)
	rapid.Check(t, func(t *rapid.T) {
		r := Roll{URI: text.Draw(t, "uri"), Version: rapid.Uint32().Draw(t, "version"), Full: rapid.Bool().Draw(t, "full"),
			Members: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Member {
				return Member{URI: text.Draw(t, "member"), Name: rapid.String().Draw(t, "name"), Instance: "1", CID: text.Draw(t, "cid")}
			}), 0, 5).Draw(t, "members")}
		if fault := rollStructure(RLMI(r), r); fault != "" {
			t.Fatalf("%s\n%s", fault, RLMI(r))
		}
	})
}

package blf

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/beevik/etree"
)

// schemas holds the published XML schemas where they are at hand, beside the module.
const schemas = "../../../shared/schemas"

// pidfSchema has xmllint look into what pidf.xsd lets pass as others' elements.
const pidfSchema = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:import namespace="urn:ietf:params:xml:ns:pidf" schemaLocation="pidf.xsd"/>
<xs:import namespace="urn:ietf:params:xml:ns:pidf:data-model" schemaLocation="data-model.xsd"/>
<xs:import namespace="urn:ietf:params:xml:ns:pidf:rpid" schemaLocation="rpid.xsd"/>
</xs:schema>`

func TestSchema(t *testing.T) {
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Log("xmllint is not here: only the structural rules were checked")
		return
	}
	if _, err := os.Stat(schemas); err != nil {
		t.Log("the schemas are not here: only the structural rules were checked")
		return
	}
	dir := t.TempDir()
	abs, err := filepath.Abs(schemas)
	if err != nil {
		t.Fatal(err)
	}
	pidf := filepath.Join(dir, "all.xsd")
	if err := os.WriteFile(pidf, []byte(strings.ReplaceAll(pidfSchema, `schemaLocation="`, `schemaLocation="`+abs+"/")), 0o644); err != nil {
		t.Fatal(err)
	}
	for ty, schema := range map[Type]string{DialogInfo: filepath.Join(schemas, "dialog-info.xsd"), PIDF: pidf} {
		args := []string{"--nonet", "--noout", "--schema", schema}
		n := 0
		for _, tt := range goldens() {
			// Left to the structural rules: pvalue, a quirk for phones that the schema
			// forbids, and the [ ] of IPv6, which SIP needs (RFC 3261 25.1) and libxml2
			// takes in no URI without a double slash.
			if tt.style.Type != ty || tt.style.Profile.Rendering == Pvalue || strings.Contains(tt.fill.Target, "[") {
				continue
			}
			file := filepath.Join(dir, tt.name+".xml")
			if err := os.WriteFile(file, Document(tt.view, tt.style, tt.fill, 0), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
			n++
		}
		out, err := exec.Command(lint, args...).CombinedOutput()
		if err != nil || strings.Count(string(out), " validates\n") != n {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// A schema that lets anything pass would prove nothing.
func TestSchemaOfWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		style Style
		spoil func(string) string
	}{
		{"no state", Style{}, func(s string) string { return strings.ReplaceAll(s, "<state>early</state>", "") }},
		{"two dialogs", Style{}, func(s string) string {
			return strings.ReplaceAll(s, "</dialog-info>", `<dialog id="2"><state>early</state></dialog></dialog-info>`)
		}},
		{"remote first", Style{}, func(s string) string {
			return strings.NewReplacer("<local>", "<remote>", "</local>", "</remote>", "<remote>", "<local>", "</remote>", "</local>").Replace(s)
		}},
		{"no basic", Style{Type: PIDF}, func(s string) string { return strings.ReplaceAll(s, "<basic>open</basic>", "") }},
		{"no activity", Style{Type: PIDF}, func(s string) string { return strings.ReplaceAll(s, "<rpid:on-the-phone/>", "") }},
		{"no address", Style{Type: XPIDF}, func(s string) string { return strings.ReplaceAll(s, "address", "adress") }},
	} {
		v := goldens()[1].view
		whole := string(Document(v, tt.style, fill(), 0))
		if err := structure([]byte(whole), tt.style.Type, fill()); err != "" {
			t.Errorf("%s: %s", tt.name, err)
		}
		if spoilt := tt.spoil(whole); spoilt == whole || structure([]byte(spoilt), tt.style.Type, fill()) == "" {
			t.Errorf("%s: passes\n%s", tt.name, spoilt)
		}
	}
}

// structure is what the RFCs ask of our documents; "" means fine.
func structure(body []byte, ty Type, f Fill) string {
	if !utf8.Valid(body) {
		return "not UTF-8"
	}
	if err := xml.Unmarshal(body, new(struct{})); err != nil {
		return err.Error()
	}
	tree := etree.NewDocument()
	if err := tree.ReadFromBytes(body); err != nil {
		return err.Error()
	}
	switch ty {
	case PIDF:
		return pidfStructure(tree.Root(), f)
	case XPIDF:
		return xpidfStructure(tree.Root(), f)
	}
	return dialogStructure(tree.Root(), f)
}

// dialogStructure has the rules of RFC 4235 4.4.
func dialogStructure(root *etree.Element, f Fill) string {
	if root.Tag != "dialog-info" || root.NamespaceURI() != namespace || root.SelectAttrValue("state", "") != "full" {
		return "root"
	}
	if got := root.SelectAttrValue("entity", ""); got != f.Entity {
		return "entity " + got
	}
	dialogs := root.ChildElements()
	if len(dialogs) != 1 || dialogs[0].Tag != "dialog" || dialogs[0].SelectAttrValue("id", "") == "" {
		return "not exactly one dialog with an id"
	}
	order := ""
	for _, e := range dialogs[0].ChildElements() {
		order += e.Tag + " "
		target := e.SelectElement("target")
		if e.Tag == "state" {
			continue
		}
		if target == nil || target.SelectAttrValue("uri", "") != f.Target && target.SelectAttrValue("uri", "") != strings.Replace(f.Target, "sip:", "sip:*4", 1) {
			return "target of " + e.Tag
		}
	}
	if order != "state local remote " && order != "state local " {
		return "order: " + order
	}
	return ""
}

// pidfStructure has those of RFC 3863 4.1 and RFC 4480 3.
func pidfStructure(root *etree.Element, f Fill) string {
	if root.Tag != "presence" || root.NamespaceURI() != pidfNamespace || root.SelectAttrValue("entity", "") != f.Entity {
		return "root"
	}
	order := ""
	for _, e := range root.ChildElements() {
		order += e.FullTag() + " "
	}
	switch order {
	case "tuple ", "tuple dm:person ", "tuple note dm:person ":
	default:
		return "order: " + order
	}
	if tuple := root.SelectElement("tuple"); tuple.SelectAttrValue("id", "") == "" || tuple.SelectElement("contact").Text() != f.Target {
		return "tuple"
	}
	if basic := root.FindElement("./tuple/status/basic"); basic == nil || basic.Text() != "open" && basic.Text() != "closed" {
		return "basic"
	}
	if p := root.SelectElement("dm:person"); p != nil {
		activity := p.FindElement("./rpid:activities/rpid:on-the-phone")
		if p.NamespaceURI() != modelNamespace || activity == nil || activity.NamespaceURI() != rpidNamespace {
			return "person"
		}
	}
	return ""
}

// xpidfStructure has those of phones that read it.
func xpidfStructure(root *etree.Element, f Fill) string {
	if root.Tag != "presence" || root.NamespaceURI() != "" {
		return "root"
	}
	if p := root.SelectElement("presentity"); p == nil || p.SelectAttrValue("uri", "") != f.Entity+";method=SUBSCRIBE" {
		return "presentity"
	}
	status, sub := root.FindElement("./atom/address/status"), root.FindElement("./atom/address/msnsubstatus")
	if status == nil || sub == nil {
		return "address"
	}
	switch status.SelectAttrValue("status", "") + " " + sub.SelectAttrValue("substatus", "") {
	case "open online", "inuse onthephone", "closed offline":
		return ""
	}
	return "status"
}

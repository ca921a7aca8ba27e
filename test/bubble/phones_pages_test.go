package bubble

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// formats are the lines that a snippet may have, by its ending or name.
var formats = map[string]*regexp.Regexp{
	"yealink.cfg":      regexp.MustCompile(`^(#.*|[a-z0-9_.]+ = .+)$`),
	"yealink-code.cfg": regexp.MustCompile(`^(#.*|[a-z0-9_.]+ = .+)$`),
	"yealink-list.cfg": regexp.MustCompile(`^(#.*|[a-z0-9_.]+ = .+)$`),
	"fanvil.cfg":       regexp.MustCompile(`^(|<<[^>]+>>(Version:[0-9.]+)?|<[A-Z ]+>|--[^-]+--:|[A-Za-z0-9]+ [A-Za-z]+ +:.*)\r$`),
	"mitel.cfg":        regexp.MustCompile(`^(#.*|[a-z0-9 ]+: .+)$`),
	"baresip.contacts": regexp.MustCompile(`^(#.*|"[^"]+" <sip:[^>]+>(;[a-z]+=[a-z0-9]+)*)$`),
	"linphone.rc":      regexp.MustCompile(`^(#.*|\[[a-z]+_[0-9]+\]|[a-z_]+=.+)$`),
}

// malformed says what is wrong with a snippet in the format of its maker.
func malformed(name, text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	switch {
	case strings.HasPrefix(name, "yealink") && lines[0] != "#!version:1.0.0.1":
		return "Yealink wants its version in the first line"
	case strings.HasPrefix(name, "fanvil") && (!strings.HasPrefix(lines[0], "<<VOIP CONFIG FILE>>Version:") || lines[len(lines)-1] != "<<END OF FILE>>\r"):
		return "Fanvil wants its first and last line"
	case formats[name] == nil:
		return malformedXML(text)
	}
	for _, l := range lines {
		if !formats[name].MatchString(l) {
			return "no line of its format: " + l
		}
	}
	return ""
}

func malformedXML(text string) string {
	if !strings.HasPrefix(text, "<?xml version=") {
		return "no XML declaration"
	}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			return ""
		} else if err != nil {
			return err.Error()
		}
	}
}

// Each page shows its snippets as they are, and says what nobody has tried; no link
// of a page leads nowhere.
func TestPagesOfPhones(t *testing.T) {
	const dir = "../../docs/phones"
	pages, err := filepath.Glob(dir + "/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(err, pages)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	shown := map[string]int{}
	index := ""
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if filepath.Base(page) == "README.md" {
			index = text
		} else if !strings.Contains(text, "Not tried on a device") {
			t.Errorf("%s does not say whether it was tried on a device", page)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to := filepath.Join(dir, m[1])
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			}
			name := filepath.Base(to)
			if filepath.Base(filepath.Dir(to)) != "phones" || filepath.Ext(name) == ".md" {
				continue
			}
			snippet, err := os.ReadFile(to)
			if err != nil {
				continue
			}
			shown[name]++
			if !strings.Contains(text, "\n```\n"+strings.ReplaceAll(string(snippet), "\r", "")+"```\n") {
				t.Errorf("%s does not show %s as it is", page, name)
			}
		}
	}
	for i := range keyPhones {
		if n := shown[keyPhones[i].snippet]; n != 1 {
			t.Errorf("%s is on %d pages", keyPhones[i].snippet, n)
		}
	}
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("the index lacks %s", name)
		}
	}
}

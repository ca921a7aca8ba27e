package interop

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const empty = "# Title\n\nProse.\n\n<!-- table calls -->\n<!-- end -->\n\nMore.\n\n<!-- table programs -->\n<!-- end -->\n"

func report() Report {
	return Report{Tables: []Table{
		{Name: "calls", Head: "what", Columns: []string{"ann", "bob"}, Rows: []Row{
			{"calls", map[string]string{"ann": "yes", "bob": "direct"}},
			{"sings, loudly", map[string]string{"bob": "yes"}},
		}},
		{Name: "programs", Head: "program", Columns: []string{"version"}, Loose: true, Rows: []Row{{"ann", map[string]string{"version": "1.0"}}}},
	}}
}

func written(t *testing.T) string {
	t.Helper()
	doc, err := Write(empty, report().Tables)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestWrite(t *testing.T) {
	const want = `# Title

Prose.

<!-- table calls -->
| what | ann | bob |
|---|---|---|
| calls | yes | direct |
| sings, loudly |  | yes |
<!-- end -->

More.

<!-- table programs -->
| program | version |
|---|---|
| ann | 1.0 |
<!-- end -->
`
	doc := written(t)
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
	again, err := Write(doc, report().Tables)
	if err != nil || again != doc {
		t.Errorf("written again: %v\n%s", err, again)
	}
	if _, err := Write("nothing here", report().Tables); err == nil {
		t.Error("a document without markers was taken")
	}
}

func TestCompare(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*Report)
		doc    func(string) string
		fault  string // in the only fault; "" = none
		notes  int
		failed bool
	}{
		"as written": {},
		"worse":      {change: func(r *Report) { r.Tables[0].Rows[0].Cells["ann"] = "direct" }, fault: `calls: calls: ann: it is "direct", and the document says "yes"`},
		"failed":     {change: func(r *Report) { r.Tables[0].Rows[0].Cells["ann"] = Failed }, fault: `it is "failed"`, failed: true},
		"better":     {change: func(r *Report) { r.Tables[0].Rows[0].Cells["bob"] = "yes" }, fault: `it is "yes", and the document says "direct"`},
		"new cell":   {change: func(r *Report) { r.Tables[0].Rows[1].Cells["ann"] = "yes" }, fault: "the document does not have it"},
		"new row": {change: func(r *Report) {
			r.Tables[0].Rows = append(r.Tables[0].Rows, Row{"dances", map[string]string{"ann": "yes"}})
		}, fault: "calls: dances: ann: it is"},
		"empty row": {change: func(r *Report) { r.Tables[0].Rows = append(r.Tables[0].Rows, Row{Name: "dances"}) }, fault: "calls: dances: nobody has tried it"},
		"new column": {change: func(r *Report) {
			r.Tables[0].Columns = append(r.Tables[0].Columns, "eve")
			r.Tables[0].Rows[0].Cells["eve"] = "yes"
		}, fault: "calls: calls: eve: it is"},
		"nobody tried":  {change: func(r *Report) { r.Tables[0].Rows = r.Tables[0].Rows[:1] }, fault: `sings, loudly: bob: the document says "yes", and nobody has tried it`},
		"not installed": {change: func(r *Report) { r.Tables[0].Rows, r.Missing = r.Tables[0].Rows[:1], []string{"bob"} }, notes: 1},
		"worse all the same": {change: func(r *Report) {
			r.Tables[0].Rows[0].Cells["ann"], r.Missing = Failed, []string{"bob"}
		}, fault: "failed", notes: 1, failed: true},
		"another version": {change: func(r *Report) { r.Tables[1].Rows[0].Cells["version"] = "2.0" }, notes: 1},
		"invented":        {doc: func(d string) string { return strings.Replace(d, "| yes |\n<", "| yes |\n| flies | yes | |\n<", 1) }, fault: "calls: flies: ann: the document says"},
		"no table":        {doc: func(d string) string { return strings.Replace(d, "table calls", "table nothing", 1) }, fault: "no \"<!-- table calls -->\""},
	} {
		t.Run(name, func(t *testing.T) {
			r, doc := report(), written(t)
			if row.change != nil {
				row.change(&r)
			}
			if row.doc != nil {
				doc = row.doc(doc)
			}
			faults, notes := Compare(doc, r)
			if (row.fault == "") != (len(faults) == 0) || len(faults) > 1 || len(notes) != row.notes {
				t.Fatalf("faults %q, notes %q", faults, notes)
			}
			if row.fault != "" && !strings.Contains(faults[0], row.fault) {
				t.Errorf("fault %q", faults[0])
			}
			if got := r.HasFailed(); got != row.failed {
				t.Errorf("has failed: %v", got)
			}
		})
	}
}

// Package interop keeps what tests with foreign programs have shown as tables of
// docs/interop.md: it writes them between their markers, reads them back, and
// tells where a run and the document differ. Between "<!-- table NAME -->" and
// "<!-- end -->" nothing else stands; the prose around is written by hand.
package interop

import (
	"fmt"
	"slices"
	"strings"
)

// Failed is what a cell says whose test has failed.
const Failed = "failed"

// A Report is what one run has shown.
type Report struct {
	Tables  []Table
	Missing []string // programs that were not there, whose tests were left out
}

// A Table is one of the document's.
type Table struct {
	Name    string
	Head    string   // of the first column
	Columns []string // the others
	Rows    []Row
	Loose   bool // where a cell differs, that is said and no fault: versions
}

// A Row is a line of a table; a column without a cell was not tried.
type Row struct {
	Name  string
	Cells map[string]string
}

const end = "<!-- end -->"

func begin(name string) string { return "<!-- table " + name + " -->" }

// Markdown is the table as the document has it.
func (t *Table) Markdown() string {
	var b strings.Builder
	line := func(first string, cells []string) {
		b.WriteString("| " + strings.Join(append([]string{first}, cells...), " | ") + " |\n")
	}
	line(t.Head, t.Columns)
	b.WriteString("|" + strings.Repeat("---|", 1+len(t.Columns)) + "\n")
	for _, r := range t.Rows {
		cells := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			cells[i] = r.Cells[c]
		}
		line(r.Name, cells)
	}
	return b.String()
}

// Write puts the tables between their markers.
func Write(doc string, tables []Table) (string, error) {
	for i := range tables {
		before, _, after, err := cut(doc, tables[i].Name)
		if err != nil {
			return "", err
		}
		doc = before + tables[i].Markdown() + after
	}
	return doc, nil
}

// cut cuts a document at a table: before ends with its first marker and a line
// feed, after begins with its second one.
func cut(doc, name string) (before, table, after string, err error) {
	before, rest, ok := strings.Cut(doc, begin(name)+"\n")
	table, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", "", "", fmt.Errorf("no %q … %q in the document", begin(name), end)
	}
	return before + begin(name) + "\n", table, end + after, nil
}

// read reads a table of the document, with the names that it has there.
func read(doc, name string) (Table, error) {
	_, text, _, err := cut(doc, name)
	if err != nil {
		return Table{}, err
	}
	t := Table{Name: name}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case i == 0:
			t.Head, t.Columns = cells[0], cells[1:]
		case i > 1:
			r := Row{Name: cells[0], Cells: map[string]string{}}
			for c, text := range cells[1:] {
				if text != "" && c < len(t.Columns) {
					r.Cells[t.Columns[c]] = text
				}
			}
			t.Rows = append(t.Rows, r)
		}
	}
	return t, nil
}

// Compare tells where the document says something else than the run has shown.
// What could not be tried, because programs were missing, is only noted.
func Compare(doc string, run Report) (faults, notes []string) {
	if len(run.Missing) > 0 {
		notes = append(notes, "not installed, so that not all could be tried: "+strings.Join(run.Missing, ", "))
	}
	for i := range run.Tables {
		t := &run.Tables[i]
		said, err := read(doc, t.Name)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		if len(run.Missing) == 0 {
			for _, r := range t.Rows {
				if len(r.Cells) == 0 && !t.Loose {
					faults = append(faults, fmt.Sprintf("%s: %s: nobody has tried it", t.Name, r.Name))
				}
			}
		}
		for _, d := range t.differ(&said, len(run.Missing) > 0) {
			if t.Loose {
				notes = append(notes, d)
			} else {
				faults = append(faults, d)
			}
		}
	}
	return faults, notes
}

// differ lists the cells in which a table is not what the document says.
func (t *Table) differ(said *Table, partial bool) (list []string) {
	for _, row := range union(names(t), names(said)) {
		for _, column := range union(t.Columns, said.Columns) {
			seen, claimed := t.cell(row, column), said.cell(row, column)
			where := fmt.Sprintf("%s: %s: %s", t.Name, row, column)
			switch {
			case seen == claimed, seen == "" && partial:
			case seen == "":
				list = append(list, fmt.Sprintf("%s: the document says %q, and nobody has tried it", where, claimed))
			case claimed == "":
				list = append(list, fmt.Sprintf("%s: it is %q, and the document does not have it", where, seen))
			default:
				list = append(list, fmt.Sprintf("%s: it is %q, and the document says %q", where, seen, claimed))
			}
		}
	}
	return list
}

func names(t *Table) (list []string) {
	for _, r := range t.Rows {
		list = append(list, r.Name)
	}
	return list
}

func (t *Table) cell(row, column string) string {
	for _, r := range t.Rows {
		if r.Name == row {
			return r.Cells[column]
		}
	}
	return ""
}

// union is what is in the one list, and then what is in the other only.
func union(a, b []string) []string {
	list := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// HasFailed reports whether any cell of the run has.
func (r *Report) HasFailed() bool {
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			for _, text := range row.Cells {
				if strings.Contains(text, Failed) {
					return true
				}
			}
		}
	}
	return false
}

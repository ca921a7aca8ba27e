// Command cmd compares docs/interop.md with what a run of test/peers has shown,
// or writes that into it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"parkd/test/interop"
)

func main() {
	write := flag.Bool("write", false, "write the tables instead of comparing them")
	doc := flag.String("doc", "docs/interop.md", "the document")
	flag.Parse()
	if err := run(*doc, flag.Arg(0), *write); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(doc, results string, write bool) error {
	text, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(results)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		fmt.Println("interop: no peer was tried")
		return nil
	}
	var r interop.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	if write {
		if len(r.Missing) > 0 || r.HasFailed() {
			return fmt.Errorf("nothing written: not all was tried, or something has failed; missing: %q", r.Missing)
		}
		next, err := interop.Write(string(text), r.Tables)
		if err != nil {
			return err
		}
		return os.WriteFile(doc, []byte(next), 0o644)
	}
	faults, notes := interop.Compare(string(text), r)
	for _, n := range notes {
		fmt.Println("interop:", n)
	}
	for _, f := range faults {
		fmt.Println("interop:", f)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s is not what was seen; make interop writes it", doc)
	}
	return nil
}

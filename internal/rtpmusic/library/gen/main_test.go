package main

import (
	"bytes"
	"os"
	"testing"
)

// The committed file is what the generator makes, octet for octet.
func TestFileIsWhatTheGeneratorMakes(t *testing.T) {
	want, err := os.ReadFile("../default.wav")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(render()), want) {
		t.Error("default.wav differs from what the generator makes: run go generate in the library's folder")
	}
}

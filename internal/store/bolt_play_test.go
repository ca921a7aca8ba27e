package store

import (
	"fmt"
	"os"
)

// roleVariable makes the test binary play a part in place of testing.
const roleVariable = "STORE_TEST_ROLE"

// cannotPlay is the exit status of a part for which something is missing here.
const cannotPlay = 3

// roles are the parts, by name.
var roles = map[string]func() error{}

// errMissing says that a part cannot be played here.
type errMissing struct{ error }

func play(role string) int {
	err := roles[role]()
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	if _, missing := err.(errMissing); missing {
		return cannotPlay
	}
	return 1
}

// Command parkd is a SIP call-park server. It promises the command line and the exit
// codes of its documentation (0 fine, 1 it failed while running, 2 wrong usage or
// configuration); everything else is done by internal/server and internal/config.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// Command spancast publishes the changes of a Cloud Spanner change stream over
// ZeroMQ. See README.md, and spancast help.
package main

import (
	"os"

	"github.com/spancast/spancast/cmd/spancast/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:]))
}

// Command stamp is the Lambda function of the state Stamp, which remembers what was observed after the write
// (internal/flow/stamp.go). The state machines call it once per record.
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("stamp", func(h *cloud.Host) any { return h.Step("Stamp") })
}

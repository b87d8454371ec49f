// Command lookup is the Lambda function of the state Lookup, which takes the lease, compares with the base and decides
// (internal/flow/lookup.go). The state machines call it once per record.
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("lookup", func(h *cloud.Host) any { return h.Step("Lookup") })
}

// Command verify is the Lambda function of the state Verify, which recomputes the envelope's seal
// (internal/flow/verify.go). The state machines call it once per record.
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("verify", func(h *cloud.Host) any { return h.Step("Verify") })
}

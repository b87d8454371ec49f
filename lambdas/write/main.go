// Command write is the Lambda function of the state Write, which changes the remote systems
// (internal/flow/write.go). The state machines call it once per record.
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("write", func(h *cloud.Host) any { return h.Step("Write") })
}

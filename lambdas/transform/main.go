// Command transform is the Lambda function of the state Transform, which reads the record as it is now and translates it
// (internal/flow/transform.go). The state machines call it once per record.
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("transform", func(h *cloud.Host) any { return h.Step("Transform") })
}

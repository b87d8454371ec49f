// Command webhook is the Lambda function behind a side's Function URL: it authenticates a
// delivery and starts one execution per changed record (internal/flow/webhook.go).
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("webhook", func(h *cloud.Host) any { return h.Webhook })
}

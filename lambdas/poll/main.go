// Command poll is the scheduled Lambda function that asks a system without webhooks what
// changed, and starts one execution per changed record (internal/flow/poll.go).
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("poll", func(h *cloud.Host) any { return h.Poll })
}

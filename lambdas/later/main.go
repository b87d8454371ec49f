// Command later is the Lambda function behind the queue of deferred events, which starts the
// execution of each again (internal/cloud/later.go).
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("later", func(h *cloud.Host) any { return h.Later })
}

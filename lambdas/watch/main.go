// Command watch is the Lambda function that runs every minute and calls a handler down
// when it falls silent (internal/centre/watch.go).
package main

import (
	"tandem/internal/centre"
	"tandem/internal/cloud/agency"
)

func main() {
	agency.Run("watch", func(c *centre.Centre) any { return c.Watch })
}

// Command beat is the Lambda function behind the Centre's Function URL that takes the
// signed beats of all clients (internal/centre/ingest.go).
package main

import (
	"tandem/internal/centre"
	"tandem/internal/cloud"
	"tandem/internal/cloud/agency"
)

func main() {
	agency.Run("beat", func(c *centre.Centre) any { return cloud.Serve(c.Ingest()) })
}

// Command dashboard is the Lambda function behind the Centre's Function URL that shows every
// integration on one page (internal/centre/dashboard.go).
package main

import (
	"tandem/internal/centre"
	"tandem/internal/cloud"
	"tandem/internal/cloud/agency"
)

func main() {
	agency.Run("dashboard", func(c *centre.Centre) any { return cloud.Serve(c.Dashboard()) })
}

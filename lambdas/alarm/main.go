// Command alarm is the Lambda function that takes the alarms' changes of state from SNS
// (internal/centre/alarm.go).
package main

import (
	"tandem/internal/centre"
	"tandem/internal/cloud/agency"
)

func main() {
	agency.Run("alarm", func(c *centre.Centre) any { return agency.Alarms(c) })
}

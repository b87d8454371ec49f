// Command selfcheck is the scheduled Lambda function that proves, also on a quiet night, that
// secrets, table and both systems answer (internal/cloud/selfcheck.go).
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("selfcheck", func(h *cloud.Host) any { return h.SelfCheck })
}

// Command reconcile is the scheduled Lambda function that compares: it asks a system with
// webhooks what changed, so that a lost delivery is made good (internal/cloud/reconcile.go).
package main

import "tandem/internal/cloud"

func main() {
	cloud.Run("reconcile", func(h *cloud.Host) any { return h.Reconcile })
}

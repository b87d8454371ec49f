// Command pocketbase is PocketBase with its JavaScript hooks and migrations, as
// the downloads of its project are. It is built by make engines for the tests;
// it is a module of its own, so that nothing of it becomes part of Tandem.
package main

import (
	"log"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/plugins/jsvm"
)

func main() {
	app := pocketbase.New()
	jsvm.MustRegister(app, jsvm.Config{})
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}

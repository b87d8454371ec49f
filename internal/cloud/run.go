package cloud

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Run opens the client's function called name and serves what handler returns,
// any function that lambda.Start takes. A function that cannot open ends at
// once: the platform shows its last line and tries again.
func Run(name string, handler func(*Host) any) {
	h, err := New(context.Background(), name, os.Getenv)
	if err != nil {
		Exit(name, err)
	}
	lambda.Start(handler(h))
}

// Exit ends a function that cannot start.
func Exit(name string, err error) {
	slog.New(slog.NewJSONHandler(os.Stdout, nil)).Error("the function cannot start", "function", name, "error", err.Error())
	os.Exit(1)
}

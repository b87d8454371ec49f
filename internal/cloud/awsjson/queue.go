package awsjson

import (
	"context"
	"strconv"
)

// Depth is how many messages a queue holds, about: those that may be received, those
// that somebody looks at just now, and those that are delayed (API GetQueueAttributes).
func (c *Client) Depth(ctx context.Context, url string) (n int, err error) {
	states := []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"}
	var out struct{ Attributes map[string]string }
	err = c.Call(ctx, SQS, "GetQueueAttributes", map[string]any{"QueueUrl": url, "AttributeNames": states}, &out)
	for _, state := range states {
		some, _ := strconv.Atoi(out.Attributes[state]) // absent is none
		n += some
	}
	return n, err
}

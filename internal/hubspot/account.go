package hubspot

import (
	"context"
	"net/http"
	"strconv"

	"tandem/internal/flow"
)

// PortalID asks which portal the token belongs to. It needs no scope, so it is
// what a start-up check or a beat compares with the spec's hubspot.portalId.
func (c *Client) PortalID(ctx context.Context) (string, error) {
	var account struct {
		PortalID int64 `json:"portalId"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/account-info/" + Version + "/details"}, &account)
	if err != nil {
		return "", err
	}
	if account.PortalID == 0 {
		return "", flow.Errorf(flow.RemoteRefused, "HubSpot's account details name no portal")
	}
	return strconv.FormatInt(account.PortalID, 10), nil
}

package hubspot

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// wanted is how many candidates a match needs: one is a match, two are a
// question for a person, three say the same.
const wanted = 3

type searchRequest struct {
	FilterGroups []filterGroup `json:"filterGroups"`
	Sorts        []sorting     `json:"sorts,omitempty"`
	Properties   []string      `json:"properties"`
	Limit        int           `json:"limit"`
	After        string        `json:"after,omitempty"`
}

type filterGroup struct {
	Filters []filter `json:"filters"`
}

type filter struct {
	Property string `json:"propertyName"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
}

type sorting struct {
	Property  string `json:"propertyName"`
	Direction string `json:"direction"`
}

type searchAnswer struct {
	Results []answered `json:"results"`
}

// longestSearch is how many characters of property names a search may ask for; its
// whole body has at most 3,000 (developers.hubspot.com, search guide).
const longestSearch = 2000

// search asks the index, which shows changes some seconds late and never shows
// archived records. Since its answers hold no associations and its requests few
// names, records are read one by one where those, or more, were asked for.
func (c *Client) search(ctx context.Context, object, property, value string, properties []string) ([]record.Record, error) {
	plain, links := split(properties)
	apart := len(links) > 0
	if len(strings.Join(plain, ",")) > longestSearch {
		plain, apart = []string{}, true
	}
	text, err := c.searchable(object, property, value)
	if err != nil {
		return nil, err
	}
	body := searchRequest{Properties: plain, Limit: wanted, FilterGroups: []filterGroup{{[]filter{{property, "EQ", text}}}}}
	var s searchAnswer
	at := c.options.Now()
	r := call{method: http.MethodPost, path: objects(object, "search"), body: body, sent: record.Fields{property: text}, repeatable: true}
	if err := c.do(ctx, r, &s); err != nil {
		return nil, err
	}
	found := make([]record.Record, 0, len(s.Results))
	for _, a := range s.Results {
		rec, err := c.record(object, a, plain, at)
		if apart {
			rec, err = c.get(ctx, object, a.ID, "", properties, false)
		}
		if flow.CodeOf(err) == flow.RecordMissing {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, rec)
	}
	return found, nil
}

// searchable spells a canonical value as a search filter wants it: instants in
// UTC milliseconds.
func (c *Client) searchable(object, property, value string) (string, error) {
	layout := map[record.Type]string{record.Date: time.DateOnly, record.DateTime: versionLayout}[c.options.Types[object][property]]
	if layout == "" {
		return value, nil
	}
	t, err := time.Parse(layout, value)
	if err != nil {
		return "", flow.Errorf(flow.BadValue, "searching %s: the value for %s is not a canonical %s", object, property, layout)
	}
	return strconv.FormatInt(t.UnixMilli(), 10), nil
}

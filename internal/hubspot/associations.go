package hubspot

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tandem/internal/record"
)

// linkPrefix marks a pseudo-property that is an association: "@companies".
const linkPrefix = "@"

// linked is the part of a read that lists associated records of one type.
type linked struct {
	Results []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"results"`
}

// associations are those of a read, by object type. Answers name some types, such as
// "line items", with a space where paths have an underscore.
type associations map[string]linked

// UnmarshalJSON implements json.Unmarshaler.
func (a *associations) UnmarshalJSON(b []byte) error {
	var told map[string]linked
	err := json.Unmarshal(b, &told)
	*a = associations{}
	for to, l := range told {
		(*a)[strings.ReplaceAll(to, " ", "_")] = l
	}
	return err
}

// defaultType and primaryType are association type ids (category
// HUBSPOT_DEFINED) by from and to; from the associations guide's table.
var (
	defaultType = map[[2]string]int{
		{"contacts", "companies"}: 279, {"companies", "contacts"}: 280,
		{"deals", "companies"}: 341, {"companies", "deals"}: 342,
		{"deals", "contacts"}: 3, {"contacts", "deals"}: 4,
		{"contacts", "tickets"}: 15, {"tickets", "contacts"}: 16,
		{"tickets", "companies"}: 339, {"deals", "tickets"}: 27, {"tickets", "deals"}: 28,
	}
	primaryType = map[[2]string]int{
		{"contacts", "companies"}: 1, {"deals", "companies"}: 5, {"tickets", "companies"}: 26,
	}
)

// value is the one id that stands for an association: the primary record's,
// else the lowest.
func (l linked) value(from, to string) string {
	var ids []string
	for _, r := range l.Results {
		_, primaries := primaryType[[2]string{from, to}]
		if primaries && r.Type == singular(from)+"_to_"+singular(to) {
			return r.ID
		}
		ids = append(ids, r.ID)
	}
	return lowest(ids)
}

// lowest compares ids as numbers of any length.
func lowest(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return slices.MinFunc(ids, record.CompareVersions)
}

func (l linked) ids() []string {
	var ids []string
	for _, r := range l.Results {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// split parts property names from association names, which lose their prefix.
func split(properties []string) (plain, links []string) {
	for _, p := range properties {
		if to, ok := strings.CutPrefix(p, linkPrefix); ok {
			links = append(links, to)
		} else {
			plain = append(plain, p)
		}
	}
	return plain, links
}

// partition does the same with fields to be written.
func partition(fields record.Fields) (plain, links record.Fields) {
	plain, links = record.Fields{}, record.Fields{}
	for name, v := range fields {
		if to, ok := strings.CutPrefix(name, linkPrefix); ok {
			links[to] = v
		} else {
			plain[name] = v
		}
	}
	return plain, links
}

type inlineLink struct {
	To struct {
		ID string `json:"id"`
	} `json:"to"`
	Types []linkType `json:"types"`
}

type linkType struct {
	Category string `json:"associationCategory"`
	TypeID   int    `json:"associationTypeId"`
}

// inlineLinks puts associations of well-known types into the create itself, so
// that record and link appear together; the others are put afterwards.
func inlineLinks(object string, links record.Fields) (inline []inlineLink, later record.Fields) {
	later = record.Fields{}
	for _, to := range links.Names() {
		id, known := defaultType[[2]string{object, to}]
		switch {
		case links[to] == "":
		case known:
			l := inlineLink{Types: []linkType{{"HUBSPOT_DEFINED", id}}}
			l.To.ID = links[to]
			inline = append(inline, l)
		default:
			later[to] = links[to]
		}
	}
	return inline, later
}

// link puts plain default associations. The call can be repeated safely.
func (c *Client) link(ctx context.Context, object, id string, links record.Fields) error {
	for _, to := range links.Names() {
		if links[to] == "" {
			continue
		}
		if err := c.put(ctx, objects(object, id, "associations", "default", to, links[to]), nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) put(ctx context.Context, path string, body any) error {
	return c.do(ctx, call{method: http.MethodPut, path: path, body: body}, nil)
}

// relink makes each association's value the one asked for, and returns what it
// is then, and what it was. The former value's association goes; others that people have made
// stay. Where those would be read back instead of the new one, it becomes the
// primary one, if that exists between the two types; else what is returned
// differs from what was asked for.
func (c *Client) relink(ctx context.Context, object, id string, links record.Fields) (observed, was record.Fields, err error) {
	if len(links) == 0 {
		return nil, nil, nil
	}
	present, err := c.links(ctx, object, id, links.Names())
	if err != nil {
		return nil, nil, err
	}
	observed, was = record.Fields{}, record.Fields{}
	for _, to := range links.Names() {
		was[linkPrefix+to] = present[to].value(object, to)
		if observed[to], err = c.relinkOne(ctx, object, id, to, links[to], present[to]); err != nil {
			return nil, nil, err
		}
	}
	return observed, was, nil
}

func (c *Client) links(ctx context.Context, object, id string, to []string) (associations, error) {
	var a answered
	query := map[string][]string{"associations": {strings.Join(to, ",")}}
	err := c.do(ctx, call{method: http.MethodGet, path: objects(object, id), query: query}, &a)
	return a.Associations, err
}

func (c *Client) relinkOne(ctx context.Context, object, id, to, want string, present linked) (string, error) {
	former := present.value(object, to)
	if former == want {
		return want, nil
	}
	if err := c.link(ctx, object, id, record.Fields{to: want}); err != nil {
		return "", err
	}
	others := slices.DeleteFunc(present.ids(), func(other string) bool { return other == former || other == want })
	primary, known := primaryType[[2]string{object, to}]
	promote := want != "" && known && len(others) > 0
	if promote {
		label := []linkType{{"HUBSPOT_DEFINED", primary}}
		if err := c.put(ctx, objects(object, id, "associations", to, want), label); err != nil {
			return "", err
		}
	}
	if former != "" {
		if err := c.do(ctx, call{method: http.MethodDelete, path: objects(object, id, "associations", to, former)}, nil); err != nil {
			return "", err
		}
	}
	switch {
	case promote:
		return want, nil
	case want != "":
		others = append(others, want)
	}
	return lowest(others), nil
}

// singulars are the names that association types use for object types.
var singulars = map[string]string{"companies": "company"}

func singular(object string) string {
	return cmp.Or(singulars[object], strings.TrimSuffix(object, "s"))
}

// Related pages: how many associations one page lists at most, and how many pages are
// asked for.
const (
	relatedPage  = "500"
	relatedPages = 10
)

// Related lists the live records of type to that a record is associated with, 5,000 at
// most; more tells that there are others.
func (c *Client) Related(ctx context.Context, object, id, to string) (ids []string, more bool, err error) {
	query := url.Values{"limit": {relatedPage}}
	for range relatedPages {
		var page struct {
			Results []struct {
				ToObjectID integer `json:"toObjectId"`
			} `json:"results"`
			Paging struct {
				Next struct {
					After string `json:"after"`
				} `json:"next"`
			} `json:"paging"`
		}
		if err := c.do(ctx, call{method: http.MethodGet, path: objects(object, id, "associations", to), query: query}, &page); err != nil {
			return nil, false, err
		}
		for _, r := range page.Results {
			if r.ToObjectID != "" {
				ids = append(ids, string(r.ToObjectID))
			}
		}
		if page.Paging.Next.After == "" {
			return ids, false, nil
		}
		query.Set("after", page.Paging.Next.After)
	}
	return ids, true, nil
}

package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// rest reports whether the destination's calls are the spec's to tell; an
// adapter of another kind brings its own along.
func (c *pairChecker) rest() bool {
	return c.spec.Destination.Kind == "" || c.spec.Destination.Kind == "rest"
}

// calls checks that the destination's object can be read, written and found.
func (c *pairChecker) calls() {
	object := at("destination.objects", c.pair.Destination.Object)
	if !c.hasObject {
		c.refuse("object-unknown", at(c.path, "destination.object"), fmt.Sprintf("destination.objects has no %s", c.pair.Destination.Object),
			"Describe it there")
		return
	}
	if !c.rest() {
		return
	}
	if c.writes(ToDestination) && c.object.Create.Path == "" && c.object.Upsert == nil {
		c.refuse("no-create", at(object, "create"), "records are to be written here, but there is no call that creates one", "Add create or upsert")
	}
	if c.writes(ToDestination) && c.object.Update.Path == "" {
		c.refuse("no-update", at(object, "update"), "records are to be written here, but there is no call that updates one", "Add update")
	}
	if c.writes(ToDestination) && len(c.pair.Match) > 0 && c.object.Find == nil {
		c.refuse("no-find", at(object, "find"), "an existing record cannot be found by its match key, so a second one would be made", "Add find")
	}
	c.placeholders(object)
	c.words(object)
	if c.object.UpdatedAt == "" && slices.ContainsFunc(c.pair.Fields, Field.newestWins) {
		c.warn("newest-no-time", at(object, "updatedAt"), "the policy newest needs the time of the last change, else the time of reading decides",
			"Add updatedAt, or let a side win")
	}
}

// placeholders refuses a call that does not say which record it is about: it
// would go to the whole collection, and a DELETE there is no small mistake.
func (c *pairChecker) placeholders(object string) {
	o := c.object
	for _, call := range []struct {
		name, needs string
		call        *Call
	}{
		{"read", "{id}", &o.Read}, {"update", "{id}", &o.Update}, {"delete", "{id}", o.Delete}, {"restore", "{id}", o.Restore},
		{"upsert", "{value}", o.Upsert}, {"find", "{value}", o.Find},
	} {
		if call.call == nil || call.call.Path == "" {
			continue
		}
		text := call.call.Path
		for _, v := range call.call.Query {
			text += v
		}
		if !strings.Contains(text, call.needs) {
			c.refuse("no-placeholder", at(at(object, call.name), "path"), "the call does not say which record it is about", "Put "+call.needs+" into its path or query")
		}
	}
}

// meant are the words that a path or a query may hold in braces.
var meant = regexp.MustCompile(`\{(id|field|value|cursor|since)\}`)

// strange finds words in braces; braces around anything else, as in JSON, are text.
var strange = regexp.MustCompile(`\{[a-z]+\}`)

// words refuses what stands in braces and means nothing, which would be sent as it is.
func (c *pairChecker) words(object string) {
	o := c.object
	calls := map[string]*Call{
		"create": &o.Create, "read": &o.Read, "update": &o.Update, "upsert": o.Upsert, "delete": o.Delete, "restore": o.Restore, "find": o.Find,
	}
	if o.List != nil {
		calls["list"] = &o.List.Call
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		call := calls[name]
		if call == nil || call.Path == "" {
			continue
		}
		text := call.Path
		for key, v := range call.Query {
			text += " " + key + " " + v
		}
		if word := strange.FindString(meant.ReplaceAllString(text, "")); word != "" {
			c.refuse("unknown-placeholder", at(at(object, name), "path"), word+" means nothing here", "Allowed are {id}, {field}, {value}, {cursor} and {since}")
		}
		if !strings.HasPrefix(call.Path, "/") {
			c.refuse("path", at(at(object, name), "path"), "it stands below baseUrl, so it begins with a slash", "Write /"+call.Path)
		}
	}
}

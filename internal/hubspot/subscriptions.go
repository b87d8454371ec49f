package hubspot

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"tandem/spec"
)

type subscription struct {
	Type     string `json:"subscriptionType"`
	Object   string `json:"objectType,omitempty"`
	Property string `json:"propertyName,omitempty"`
	Active   bool   `json:"active"`
}

type webhooksFile struct {
	UID    string         `json:"uid"`
	Type   string         `json:"type"`
	Config webhooksConfig `json:"config"`
}

type webhooksConfig struct {
	Settings struct {
		TargetURL string `json:"targetUrl"`
		// MaxConcurrent must be greater than 5; 10 is HubSpot's template.
		MaxConcurrent int `json:"maxConcurrentRequests"`
	} `json:"settings"`
	Subscriptions struct {
		CRM []subscription `json:"crmObjects"`
		Hub []subscription `json:"hubEvents,omitempty"`
	} `json:"subscriptions"`
}

// Subscriptions writes the project app's webhooks-hsmeta.json: the events that
// the spec's pairs need, delivered to targetURL. There is no wildcard, so every
// property that travels has a subscription of its own.
func Subscriptions(s *spec.Spec, targetURL string) []byte {
	f := webhooksFile{UID: "webhooks", Type: "webhooks"}
	f.Config.Settings.TargetURL, f.Config.Settings.MaxConcurrent = targetURL, 10
	subs := &f.Config.Subscriptions
	for _, p := range s.Pairs {
		if cmp.Or(p.HubSpot.Trigger, "webhook") != "webhook" {
			continue
		}
		object := typeName(p.HubSpot.Object)
		for _, kind := range []string{"creation", "deletion", "merge", "restore"} {
			subs.CRM = append(subs.CRM, subscription{Type: "object." + kind, Object: object, Active: true})
		}
		for _, name := range sources(p) {
			subs.CRM = append(subs.CRM, change(object, name))
		}
		if p.HubSpot.Object == Contacts {
			subs.Hub = append(subs.Hub, subscription{Type: "contact.privacyDeletion", Active: true})
		}
	}
	subs.CRM, subs.Hub = distinct(subs.CRM), distinct(subs.Hub)
	out, _ := json.MarshalIndent(f, "", "  ") // Texts and numbers only: cannot fail.
	return append(out, '\n')
}

func change(object, property string) subscription {
	if strings.HasPrefix(property, linkPrefix) {
		return subscription{Type: "object.associationChange", Object: object, Active: true}
	}
	return subscription{Type: "object.propertyChange", Object: object, Property: property, Active: true}
}

// sources lists the properties whose change may change something on the other
// side: those of every field that travels there, and those its concat names.
func sources(p spec.Pair) []string {
	var names []string
	for _, f := range p.Fields {
		if !f.Travels(spec.ToDestination) {
			continue
		}
		if f.HubSpot.Property != "" {
			names = append(names, f.HubSpot.Property)
		}
		if f.Formula != nil {
			names = append(names, braced(f.Formula.Concat)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// braced lists the property names among a concat's parts: "{firstname}".
func braced(parts []string) []string {
	var names []string
	for _, part := range parts {
		if inner, ok := strings.CutPrefix(part, "{"); ok && strings.HasSuffix(inner, "}") {
			names = append(names, strings.TrimSuffix(inner, "}"))
		}
	}
	return names
}

// typeName is an object type as subscriptions name it: contact, 2-143967026.
func typeName(object string) string {
	for name, plural := range plurals {
		if plural == object {
			return name
		}
	}
	return object
}

// distinct drops repeats, which pairs of one object type cause, in place order.
func distinct(list []subscription) []subscription {
	seen := map[subscription]bool{}
	return slices.DeleteFunc(list, func(s subscription) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

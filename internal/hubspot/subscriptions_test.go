package hubspot

import (
	"encoding/json"
	"slices"
	"testing"

	"tandem/internal/record"
	"tandem/spec"
)

func testSpec() *spec.Spec {
	prop := func(name string) spec.Prop { return spec.Prop{Property: name, Type: record.String} }
	return &spec.Spec{Client: "acme", Pairs: []spec.Pair{
		{
			Name: "contacts", HubSpot: spec.Side{Object: "contacts", ExternalID: "erp_id"},
			Fields: []spec.Field{
				{Name: "email", HubSpot: prop("email")},
				{Name: "credit", HubSpot: prop("credit"), Direction: spec.OnlyHubSpot},
				{Name: "name", HubSpot: prop("lastname"), Direction: spec.OnlyDestination, Formula: &spec.Formula{Concat: []string{"{firstname}", " ", "{lastname}"}}},
			},
		},
		{
			Name: "deals", HubSpot: spec.Side{Object: "deals", Trigger: "webhook"},
			Fields: []spec.Field{{Name: "account", HubSpot: spec.Prop{Property: "@companies", Type: record.Reference}}},
		},
		{Name: "parts", HubSpot: spec.Side{Object: "2-143967026", Trigger: "poll"}, Fields: []spec.Field{{Name: "n", HubSpot: prop("n")}}},
	}}
}

func TestSubscriptions(t *testing.T) {
	file := Subscriptions(testSpec(), "https://example.com/hubspot")
	var got webhooksFile
	if err := json.Unmarshal(file, &got); err != nil {
		t.Fatal(err)
	}
	if got.Type != "webhooks" || got.Config.Settings.TargetURL != "https://example.com/hubspot" || got.Config.Settings.MaxConcurrent <= 5 {
		t.Errorf("settings %+v of type %s", got.Config.Settings, got.Type)
	}
	var lines []string
	for _, s := range append(got.Config.Subscriptions.CRM, got.Config.Subscriptions.Hub...) {
		if !s.Active {
			t.Errorf("%+v is not active", s)
		}
		lines = append(lines, s.Object+" "+s.Type+" "+s.Property)
	}
	want := []string{
		"contact object.creation ", "contact object.deletion ", "contact object.merge ", "contact object.restore ",
		"contact object.propertyChange email", "contact object.propertyChange firstname", "contact object.propertyChange lastname",
		"deal object.creation ", "deal object.deletion ", "deal object.merge ", "deal object.restore ", "deal object.associationChange ",
		" contact.privacyDeletion ",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q\nwant %q", lines, want)
	}
}

func TestOptionsForSpec(t *testing.T) {
	o := OptionsFor(testSpec())
	if o.Types["contacts"]["email"] != record.String || o.Types["contacts"]["erp_id"] != record.String || !slices.Equal(o.Unique["contacts"], []string{"erp_id"}) {
		t.Errorf("types %v, unique %v", o.Types, o.Unique)
	}
}

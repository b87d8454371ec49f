package erp

import "slices"

// Type says how a field is edited and kept.
type Type string

// The types of declared fields.
const (
	Text   Type = "text"
	Number Type = "number"
	Flag   Type = "flag"
	Day    Type = "date"
)

// Field is one declared field; a record may hold others.
type Field struct {
	Name string
	Type Type
}

// Kind is one kind of record.
type Kind struct {
	Name, Word string // in paths; in events
	prefix     string // of ids
	Fields     []Field
}

// Kinds lists what a company keeps.
var Kinds = []Kind{
	{"customers", "customer", "c_", []Field{
		{"email", Text}, {"name", Text}, {"first_name", Text}, {"last_name", Text}, {"phone", Text}, {"postcode", Text},
		{"status", Text}, {"newsletter", Flag}, {"birthday", Day}, {"account_id", Text}, {"hubspot_id", Text},
	}},
	{"accounts", "account", "a_", []Field{{"name", Text}, {"domain", Text}, {"industry", Text}, {"employees", Number}, {"hubspot_id", Text}}},
	{"orders", "order", "o_", []Field{
		{"number", Text}, {"title", Text}, {"amount", Number}, {"stage", Text}, {"close_date", Day},
		{"account_id", Text}, {"customer_id", Text}, {"hubspot_id", Text},
	}},
}

// KindOf finds a kind by its name in paths.
func KindOf(name string) (Kind, bool) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return Kinds[i], true
}

package portal

import (
	"testing"

	"tandem/internal/hubspot"
	"tandem/internal/record"
)

// BenchmarkRemote measures one call of the real client over the portal in
// process: what a simulated step costs.
func BenchmarkRemote(b *testing.B) {
	p := New(Options{Now: newClock().Now})
	client, err := Remote(p, hubspot.Options{Types: testTypes})
	if err != nil {
		b.Fatal(err)
	}
	rec, err := client.Create(b.Context(), "contacts", record.Fields{"email": "a@example.com"}, "", "k")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Read(b.Context(), "contacts", rec.ID, []string{"email", "firstname", "lastname", "phone"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		names := []string{"Ann", "Bea"}
		for i := 0; b.Loop(); i++ {
			if _, err := client.Update(b.Context(), "contacts", rec.ID, record.Fields{"firstname": names[i%2]}, ""); err != nil {
				b.Fatal(err)
			}
			p.Events()
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Remote(New(Options{Now: newClock().Now}), hubspot.Options{Types: testTypes}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

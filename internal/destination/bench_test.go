package destination_test

import (
	"testing"

	"tandem/internal/record"
	"tandem/internal/simulator/erp"
)

// BenchmarkUpdate is one conditional write through the adapter and the simulated
// ERP within the process.
func BenchmarkUpdate(b *testing.B) {
	company := erp.New(erp.Usual(), newClock().now, nil)
	remote, err := erp.Remote(company, described())
	if err != nil {
		b.Fatal(err)
	}
	made, err := remote.Create(b.Context(), "customers", record.Fields{"email": "a@example.com", "name": "Ann"}, "", "k")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if made, err = remote.Update(b.Context(), "customers", made.ID, record.Fields{"name": "Bob"}, made.ETag); err != nil {
			b.Fatal(err)
		}
		for _, d := range company.Due() {
			company.Done(d.Number, 200)
		}
	}
}

// BenchmarkRead is one read in the same way.
func BenchmarkRead(b *testing.B) {
	remote, err := erp.Remote(erp.New(erp.Usual(), newClock().now, nil), described())
	if err != nil {
		b.Fatal(err)
	}
	made, err := remote.Create(b.Context(), "customers", record.Fields{"email": "a@example.com", "name": "Ann"}, "", "k")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err = remote.Read(b.Context(), "customers", made.ID, []string{"email", "name", "phone"}); err != nil {
			b.Fatal(err)
		}
	}
}

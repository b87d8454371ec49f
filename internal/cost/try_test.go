package cost

import (
	"fmt"
	"tandem/spec"
	"testing"
)

func TestTry(t *testing.T) {
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	ev, err := Measure(s, Usual)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ev {
		fmt.Println(e.Name, e.Path)
		fmt.Printf("%+v\n", e.Usage)
		b := BillFor(e.Usage, All, 14)
		fmt.Println(b, b.Total(), BillFor(e.Usage, Error, 14).Total())
	}
}

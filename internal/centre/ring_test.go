package centre

import (
	"reflect"
	"testing"
)

func TestRingSurvivesItsText(t *testing.T) {
	for _, r := range []Ring{{}, {{29_000_000, 0, 1, 60_000}}, {{29_000_000, 5, 0, 35}, {29_000_001, 36, 2, 1}, {29_000_059, 1 << 40, 0, 0}}} {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Ring
		if err := back.UnmarshalText(text); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%v became %s, then %v (%v)", r, text, back, err)
		}
	}
}

func TestRingRefusesOtherText(t *testing.T) {
	for _, text := range []string{"1", "1,2,3;", "1,2,3,4", "1,2,3,4,5;", "-1,2,3,4;", "1,,3,4;", "A,2,3,4;", "zzzzzzzzzzzzzzzz,1,1,1;"} {
		var r Ring
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, r)
		}
	}
}

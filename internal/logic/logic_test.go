package logic

import (
	"strings"
	"testing"
)

// Every example is what the function does; whatever it returns leads back and
// there again to itself; no error repeats the value.
func TestExamples(t *testing.T) {
	for _, name := range Names() {
		f, _ := ByName(name)
		if len(f.Examples) < 3 || f.Doc == "" {
			t.Errorf("%s: a function needs documentation and at least three examples", name)
		}
		for _, ex := range f.Examples {
			t.Run(name+"/"+ex.Text, func(t *testing.T) { try(t, f, ex) })
		}
	}
}

func try(t *testing.T, f Function, ex Example) {
	got, err := f.Forward(ex.In)
	if got != ex.Want || (err != nil) != ex.Fails {
		t.Fatalf("got %q, %v; want %q, fails %v", got, err, ex.Want, ex.Fails)
	}
	if err != nil {
		if strings.Contains(err.Error(), ex.In) {
			t.Error("the error repeats the value")
		}
		return
	}
	if f.Reverse == nil {
		return
	}
	back, err := f.Reverse(got)
	if err != nil {
		t.Fatalf("the way back: %v", err)
	}
	if again, err := f.Forward(back); err != nil || again != got {
		t.Errorf("there, back and there again: %q, %v; want %q", again, err, got)
	}
}

func FuzzPhoneAU(f *testing.F) {
	fn, _ := ByName("phoneAU")
	for _, ex := range fn.Examples {
		f.Add(ex.In)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := phoneAU(s)
		if err != nil {
			return
		}
		if twice, err := phoneAU(once); err != nil || twice != once {
			t.Errorf("%q is not at rest: %q, %v", once, twice, err)
		}
	})
}

func TestRegisterRefusesTakenNames(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("phoneAU could be registered twice")
		}
	}()
	register(Function{Name: "phoneAU", Forward: phoneAU})
}

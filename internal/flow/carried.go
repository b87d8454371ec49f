package flow

import (
	"encoding/json"
	"maps"
	"slices"
)

// A state of a machine takes and gives 262,144 bytes; one more ends the execution as
// States.DataLimitExceeded, which no Catch sees and which names no field. A step's
// section goes on beside the event, the fingerprints and ids of another round and the
// report of why that had to be: 32 KiB are kept free for them, and for the section's own.
const maxCarried = (256 - 32) << 10

// widest is how many bytes of JSON one of a text takes at most, as \u0001 does.
const widest = 6

// carried refuses values of one section that the machine cannot carry on, and names the
// field that takes most. Only what may be too much is measured as it is written.
func carried(sections ...map[string]string) error {
	most := 0
	for _, fields := range sections {
		for name, text := range fields {
			most += len(name) + len(text) + 1
		}
	}
	if most*widest <= maxCarried {
		return nil
	}
	total, taken := measure(sections)
	if total <= maxCarried {
		return nil
	}
	largest := slices.MaxFunc(slices.Sorted(maps.Keys(taken)), func(a, b string) int { return taken[a] - taken[b] })
	return Errorf(TooLarge, "the values take %d bytes and a state of the machine carries %d of them; most, %d, are of field %s: shorten its value, or take it out of the spec", total, maxCarried, taken[largest], largest)
}

// measure is how many bytes of JSON fields take in all, and each of them.
func measure(sections []map[string]string) (total int, taken map[string]int) {
	taken = map[string]int{}
	for _, fields := range sections {
		for name, text := range fields {
			n := asJSON(name) + asJSON(text)
			total, taken[name] = total+n, taken[name]+n
		}
	}
	return total, taken
}

// asJSON is how many bytes a text takes as JSON, with what separates it from the next.
func asJSON(text string) int {
	b, _ := json.Marshal(text) // text always marshals
	return len(b) + 1
}

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"tandem/spec"
)

// owner says what the records are that a --data directory knows of. Those of another
// portal or system have the same ids, and would be taken for them.
type owner struct {
	Client      string `json:"client"`
	Portal      string `json:"portal"`
	HubSpot     string `json:"hubspot"`     // real or simulated
	Destination string `json:"destination"` // likewise
}

func (o owner) String() string {
	return "client " + o.Client + ", portal " + o.Portal + ", HubSpot " + o.HubSpot + ", destination " + o.Destination
}

// ownerFile is where it is kept, in --data.
const ownerFile = "owner.json"

// own takes --data for the spec and the systems that are to be run, or refuses where it
// is another's.
func own(o *runOptions, s *spec.Spec) error {
	kind := func(address string) string {
		if address == "" {
			return "simulated"
		}
		return "real"
	}
	now := owner{Client: s.Client, Portal: s.HubSpot.PortalID, HubSpot: kind(o.hubspot), Destination: kind(o.destination)}
	file := filepath.Join(o.data, ownerFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(text) == 0 { // or a process died just as it made it
		if err := os.MkdirAll(o.data, 0o700); err != nil {
			return usage{err}
		}
		text, _ = json.Marshal(now)
		return os.WriteFile(file, append(text, '\n'), 0o600)
	}
	var was owner
	if err != nil || json.Unmarshal(text, &was) != nil {
		return misused("%s cannot be read, which says whose the data in %s is: put it back, or name another directory with --data", file, o.data)
	}
	if was != now {
		return misused("%s keeps what is known of %s, and this is %s: their records would be taken for each other's. Name another directory with --data; should it be the same system all the same, delete %s",
			o.data, was, now, file)
	}
	return nil
}

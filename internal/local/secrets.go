package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"tandem/internal/cloud/names"
	"tandem/internal/record"
	"tandem/spec"
)

// Secrets are one client's secrets by their parameter's last name, such as
// hubspot-client-secret. The first value is the current one; during a rotation
// the former follows.
type Secrets map[string][]string

// LoadSecrets reads a JSON object of texts, or of arrays of two texts. Errors
// name the entry, never a value.
func LoadSecrets(path string) (Secrets, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("secrets file: %w; tandem run -h shows its form", err)
	}
	var entries map[string]json.RawMessage
	if json.Unmarshal(data, &entries) != nil {
		return nil, fmt.Errorf(`secrets file %s: it must be one JSON object such as {"hubspot-token": "...", "hubspot-client-secret": ["current", "previous"]}`, path)
	}
	s := Secrets{}
	for name, raw := range entries {
		if s[name], err = values(raw); err != nil {
			return nil, fmt.Errorf("secrets file %s: %s: %w", path, name, err)
		}
	}
	return s, nil
}

func values(raw json.RawMessage) (all []string, err error) {
	if bytes.HasPrefix(raw, []byte{'['}) {
		err = json.Unmarshal(raw, &all)
	} else {
		all = []string{""}
		err = json.Unmarshal(raw, &all[0])
	}
	if err != nil || len(all) == 0 || slices.Contains(all, "") {
		return nil, errors.New("it must be a text that is not empty, or an array of such texts, the current one first")
	}
	return all, nil
}

// Missing lists what the spec names for systems and the set lacks.
func (s Secrets) Missing(c *spec.Spec, systems ...record.System) (missing []string) {
	for _, sys := range systems {
		for _, name := range []string{names.TokenSecret(c, sys), names.ClientSecret(c, sys)} {
			if len(s[name]) == 0 && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

// Complete refuses a set that lacks what the spec names for systems.
func (s Secrets) Complete(c *spec.Spec, systems ...record.System) error {
	if missing := s.Missing(c, systems...); len(missing) > 0 {
		return fmt.Errorf("the secrets lack %s; add them to the secrets file", strings.Join(missing, ", "))
	}
	return nil
}

// client are the secrets with which system sys signs.
func (s Secrets) client(c *spec.Spec, sys record.System) []string {
	return s[names.ClientSecret(c, sys)]
}

// token is what requests to sys are authorised with.
func (s Secrets) token(c *spec.Spec, sys record.System) string {
	return s[names.TokenSecret(c, sys)][0]
}

// value returns the current value of a secret.
func (s Secrets) value(name string) (string, error) {
	if len(s[name]) == 0 {
		return "", fmt.Errorf("there is no secret %s; add it to the secrets file", name)
	}
	return s[name][0], nil
}

package erp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is what a file keeps of a company.
type state struct {
	Seq     int                 `json:"seq"`
	Records map[string][]Record `json:"records"`
	Queue   queue               `json:"queue"`
}

// Save writes the company to a file, whole or not at all. Deliveries under way
// are kept as not delivered.
func (c *Company) Save(file string) error {
	c.mu.Lock()
	s := state{Seq: c.seq, Records: map[string][]Record{}, Queue: c.queue}
	s.Queue.Deliveries = append([]Delivery(nil), c.queue.Deliveries...)
	for name, store := range c.kinds {
		for _, r := range store.records {
			s.Records[name] = append(s.Records[name], r.copy())
		}
	}
	c.changed = false
	c.mu.Unlock()
	for i := range s.Queue.Deliveries {
		if d := &s.Queue.Deliveries[i]; d.Due.IsZero() {
			d.Due = time.Unix(0, 0).UTC()
		}
	}
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("simulated ERP: %w", err)
	}
	return replace(file, b)
}

// replace writes beside the file and renames over it.
func replace(file string, b []byte) error {
	t, err := os.CreateTemp(filepath.Dir(file), ".erp-*")
	if err != nil {
		return fmt.Errorf("simulated ERP: %w", err)
	}
	_, err = t.Write(b)
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err == nil {
		err = os.Rename(t.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("simulated ERP: %w", err), os.Remove(t.Name()))
	}
	return nil
}

// Load reads what Save wrote; a file that is not there leaves the company as it is.
func (c *Company) Load(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("simulated ERP: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var s state
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("simulated ERP: %s is not a saved company; move it away to begin anew: %w", file, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq, c.queue = s.Seq, s.Queue
	for name, records := range s.Records {
		store := c.kinds[name]
		if store == nil {
			return fmt.Errorf("simulated ERP: %s holds records of an unknown kind %q", file, name)
		}
		store.records, store.index = map[string]*Record{}, index{}
		for _, r := range records {
			if r.Fields == nil {
				r.Fields = map[string]any{}
			}
			store.records[r.ID] = &r
			for field := range r.Fields {
				store.index.put(&r, field)
			}
		}
	}
	return nil
}

// Unsaved reports whether anything changed since the last Save.
func (c *Company) Unsaved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

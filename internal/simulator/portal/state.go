package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// state is a portal as a file keeps it. Definitions are not in it: they come
// from the spec.
type state struct {
	Objects map[string]savedObject `json:"objects"`
	Links   []savedLinks           `json:"links"`
	Pending []Event                `json:"pending"`
}

type savedObject struct {
	Next    int64             `json:"next"`
	Records []*entry          `json:"records"`
	Merged  map[string]string `json:"merged"`
}

type savedLinks struct {
	linkKey
	Links []link `json:"links"`
}

// SaveFile writes records, associations and undelivered events to a file,
// which is replaced in one step.
func (p *Portal) SaveFile(path string) error {
	p.mu.Lock()
	body, err := json.Marshal(p.state())
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("saving the portal: %w", err)
	}
	if err := replace(path, body); err != nil {
		return fmt.Errorf("saving the portal: %w", err)
	}
	return nil
}

func replace(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // Fails once the file has its name, as it should.
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (p *Portal) state() state {
	s := state{Objects: map[string]savedObject{}}
	for _, token := range slices.Sorted(maps.Keys(p.handed)) {
		s.Pending = append(s.Pending, p.handed[token]...)
	}
	s.Pending = append(s.Pending, p.pending...)
	for name, o := range p.objects {
		saved := savedObject{Next: o.next, Merged: o.alias}
		for _, id := range o.order {
			saved.Records = append(saved.Records, o.records[id])
		}
		s.Objects[name] = saved
	}
	for k, list := range p.links {
		s.Links = append(s.Links, savedLinks{k, list})
	}
	return s
}

// LoadFile reads what SaveFile wrote; a file that does not exist leaves the
// portal as it is. Object types must have been defined.
func (p *Portal) LoadFile(path string) error {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("loading the portal: %w", err)
	}
	var s state
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("loading the portal from %s: %w; move the file away to start empty", path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restore(s)
}

func (p *Portal) restore(s state) error {
	for name, saved := range s.Objects {
		o := p.objects[name]
		if o == nil && len(saved.Records) > 0 {
			return fmt.Errorf("loading the portal: the file has records of object type %s, which is not defined", name)
		}
		if o == nil {
			continue
		}
		o.next, o.alias = saved.Next, saved.Merged
		for _, e := range saved.Records {
			o.records[e.ID], o.order = e, append(o.order, e.ID)
			if e.Archived == 0 {
				o.hold(e, e.Props)
			}
		}
		if o.alias == nil {
			o.alias = map[string]string{}
		}
	}
	for _, l := range s.Links {
		p.links[l.linkKey] = l.Links
	}
	p.pending = append(p.pending, s.Pending...)
	return nil
}

// Keep saves the portal to path whenever something has changed, looking every
// interval, and once more when ctx ends.
func (p *Portal) Keep(ctx context.Context, path string, every time.Duration) error {
	var saved uint64
	for running := true; running; {
		running = pause(ctx, every)
		if now := p.Changes(); now != saved {
			if err := p.SaveFile(path); err != nil {
				return err
			}
			saved = now
		}
	}
	return nil
}

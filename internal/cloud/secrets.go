package cloud

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
)

// secretLife is how long a value is used without asking again; a rotation needs
// no deployment and is complete after it. secretRest is how long after a
// request nothing is asked again on a refusal, so that a flood of forged
// deliveries does not become a flood of requests. sealRest is the same for seals:
// shorter, since whoever may start executions is one of few.
const (
	secretLife = 5 * time.Minute
	secretRest = 20 * time.Second
	sealRest   = time.Second
)

// Secrets reads parameters below a prefix and keeps them in the process. All
// names it was made with are read in one request, because each is needed soon.
type Secrets struct {
	api    Parameters
	prefix string
	now    func() time.Time

	mu     sync.Mutex
	wanted []string
	values map[string]string
	read   time.Time
	// doubted is when a seal that did not fit last had them read.
	doubted time.Time
}

// NewSecrets are the parameters wanted (last names) below prefix. It asks nothing.
func NewSecrets(api Parameters, prefix string, now func() time.Time, wanted ...string) *Secrets {
	return &Secrets{api: api, prefix: prefix, now: now, wanted: wanted}
}

// OpenSecrets are the parameters wanted below prefix, over Systems Manager.
func OpenSecrets(getenv func(string) string, prefix string, wanted ...string) (*Secrets, error) {
	c, err := awsjson.FromEnv(getenv)
	if err != nil {
		return nil, err
	}
	return NewSecrets(newStore(c), prefix, time.Now, wanted...), nil
}

// Get returns the value of one of the wanted secrets. Others are refused here:
// asking for one that is not granted would fail the request for all. An error
// names the parameter, never a value.
func (s *Secrets) Get(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.wanted, name) {
		return "", fmt.Errorf("this function may not read %s%s", s.prefix, name)
	}
	if s.values == nil || s.now().Sub(s.read) >= secretLife {
		if err := s.fetch(ctx); err != nil {
			return "", err
		}
	}
	v, ok := s.values[name]
	if !ok {
		return "", absent(s.prefix + name)
	}
	return v, nil
}

// absent is a parameter that nobody has stored: fs.ErrNotExist, and no outage.
type absent string

func (a absent) Error() string {
	return "there is no parameter " + string(a) + "; create it with tandem secrets"
}

func (absent) Is(target error) bool { return target == fs.ErrNotExist }

// Valid returns the values of a secret that are valid now: the current one and,
// while a rotation lasts, the one before.
func (s *Secrets) Valid(ctx context.Context, name string) ([]string, error) {
	current, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if before, err := s.Get(ctx, name+names.Previous); err == nil && before != current {
		return []string{current, before}, nil
	}
	return []string{current}, nil
}

// Refresh asks again before its time, because a value was refused. It reports
// whether it asked: a second refusal within the rest changes nothing.
func (s *Secrets) Refresh(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.read) < secretRest {
		return false
	}
	return s.fetch(ctx) == nil
}

// Doubt is Refresh for a seal that does not fit. It rests from the last doubt and
// not from the last request: the first envelope that is sealed under a rotated
// value may come when this process has just read the former one. An error says that
// nobody can tell a forgery now.
func (s *Secrets) Doubt(ctx context.Context) (asked bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.doubted) < sealRest {
		return false, nil
	}
	s.doubted = s.now()
	return true, s.fetch(ctx)
}

const (
	// batch is how many names one request may ask for (API GetParameters).
	batch = 10
	// fetchWithin is a second less than Verify has.
	fetchWithin = 7 * time.Second
)

// fetch reads all wanted parameters. The caller holds the lock. A value that can
// no longer be read is forgotten, but an error forgets nothing.
func (s *Secrets) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	values := map[string]string{}
	for part := range slices.Chunk(s.wanted, batch) {
		full := make([]string, len(part))
		for i, name := range part {
			full[i] = s.prefix + name
		}
		got, err := s.api.GetParameters(ctx, full)
		if err != nil {
			return fmt.Errorf("reading the parameters below %s: %w", s.prefix, err)
		}
		for name, value := range got {
			values[strings.TrimPrefix(name, s.prefix)] = value
		}
	}
	s.values, s.read = values, s.now()
	return nil
}

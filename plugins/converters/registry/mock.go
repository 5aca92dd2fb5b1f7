package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// mockScheme begins the address of a registry inside the process: mock://NAME. Converters with the same name share it; it
// ends with the process.
const mockScheme = "mock://"

var mocks = struct {
	sync.Mutex
	byName map[string]*mock
}{byName: map[string]*mock{}}

func mockOf(address string) *mock {
	mocks.Lock()
	defer mocks.Unlock()
	name := strings.TrimPrefix(address, mockScheme)
	if mocks.byName[name] == nil {
		mocks.byName[name] = &mock{subjects: map[string][]int32{}}
	}
	return mocks.byName[name]
}

// mock keeps schemas in memory. It accepts every version of a subject.
type mock struct {
	mu       sync.Mutex
	schemas  []Schema // of id 1, 2, …
	subjects map[string][]int32
}

func (*mock) Close() {}

func (s Schema) equal(o Schema) bool {
	return s.Type == o.Type && s.Text == o.Text && slices.Equal(s.References, o.References)
}

func (m *mock) Register(_ context.Context, subject string, s Schema, _ bool) (int32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.schemas, s.equal)
	if i < 0 {
		i = len(m.schemas)
		m.schemas = append(m.schemas, s)
	}
	id := int32(i + 1)
	if !slices.Contains(m.subjects[subject], id) {
		m.subjects[subject] = append(m.subjects[subject], id)
	}
	return id, nil
}

func (m *mock) Lookup(_ context.Context, subject string, s Schema, _, _ bool) (Registered, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.subjects[subject]) == 0 {
		return Registered{}, noSubject(subject)
	}
	for i, id := range m.subjects[subject] {
		if m.schemas[id-1].equal(s) {
			return Registered{s, id, i + 1}, nil
		}
	}
	return Registered{}, &Error{404, 40403, "Schema not found"}
}

func (m *mock) ByID(_ context.Context, id int32, _ string) (Schema, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id < 1 || int(id) > len(m.schemas) {
		return Schema{}, &Error{404, 40403, fmt.Sprintf("Schema %d not found", id)}
	}
	return m.schemas[id-1], nil
}

func (m *mock) Version(_ context.Context, subject string, version int) (Registered, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := m.subjects[subject]
	if len(ids) == 0 {
		return Registered{}, noSubject(subject)
	}
	if version == 0 {
		version = len(ids)
	}
	if version > len(ids) {
		return Registered{}, &Error{404, 40402, fmt.Sprintf("Version %d not found.", version)}
	}
	id := ids[version-1]
	return Registered{m.schemas[id-1], id, version}, nil
}

func noSubject(subject string) error {
	return &Error{404, 40401, fmt.Sprintf("Subject '%s' not found.", subject)}
}

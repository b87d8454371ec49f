package names

// Tick is what a schedule calls a poller or a comparison with: it names the
// pair. With All set, as by `tandem backfill`, one page of every record from
// Cursor on is told of instead of what changed.
type Tick struct {
	Pair   string `json:"pair"`
	All    bool   `json:"all,omitempty"`
	Cursor string `json:"cursor,omitempty"`
	// Linked, when not empty, asks for nothing but references that wait for a record
	// which is linked by now.
	Linked string `json:"linked,omitempty"`
	// Record is the id of the one record that `tandem resync` asks for.
	Record string `json:"record,omitempty"`
}

// Swept is what came of a Tick: how many records an execution was started for,
// and of how many the mapping showed that they are in step. Cursor and More are
// there with All.
type Swept struct {
	Started int    `json:"started"`
	Dropped int    `json:"dropped,omitempty"`
	Cursor  string `json:"cursor,omitempty"`
	More    bool   `json:"more,omitempty"`

	Freed []string `json:"freed,omitempty"`
}

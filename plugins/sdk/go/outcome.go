package meter

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Outcome is the readings of a tick, and what the next one is to know. Without readings all usage has ended; an input that
// is missing is an error instead.
type Outcome struct {
	readings []reading
	state    []byte
}

type reading struct {
	dimension string
	isCounter bool
	amount    Amount
	source    string
	tags      []Tag
}

// Gauge reports an amount that holds until the next tick, such as a number of pods.
func (o *Outcome) Gauge(dimension string, amount Amount, tags ...Tag) {
	o.readings = append(o.readings, reading{dimension: dimension, amount: amount, tags: tags})
}

// Counter reports a total that only grows, of one source, such as the bytes that a pod has scanned. The host bills its
// increase and notices when it starts again. Dimension, tags and source name a counter: report each at every tick at which
// it exists.
func (o *Outcome) Counter(dimension string, total Amount, source string, tags ...Tag) {
	o.readings = append(o.readings, reading{dimension, true, total, source, tags})
}

// Remember keeps a value for the next tick, as JSON of at most 64 KiB; Tick.Recall reads it.
func (o *Outcome) Remember(value any) error {
	state, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("the state cannot be written: %w", err)
	}
	o.state = state
	return nil
}

// State is what the next tick is handed.
func (o *Outcome) State() []byte { return o.state }

// Lines are the readings, such as `gb 1.500000 of pod-0 {Namespace=red}`: for tests.
func (o *Outcome) Lines() []string {
	lines := make([]string, 0, len(o.readings))
	for _, r := range o.readings {
		line := r.dimension + " " + r.amount.String()
		if r.isCounter {
			line += " of " + r.source
		}
		if len(r.tags) > 0 {
			tags := make([]string, 0, len(r.tags))
			for _, tag := range r.tags {
				tags = append(tags, tag.Key+"="+tag.Value)
			}
			line += " {" + strings.Join(tags, ",") + "}"
		}
		lines = append(lines, line)
	}
	return lines
}

// Package meter writes meters for Tollkeeper in Go: WebAssembly plugins that turn a product's declared inputs into readings.
//
// Fill a [Definition] and [Export] it from an init function. Inputs come as [Inputs], amounts are exact [Amount]s, and what
// was measured goes into an [Outcome]. A meter has no clock, randomness, network, files or environment: the same inputs,
// configuration and state give the same outcome on every machine, so a bill can be checked by running it again.
//
// Everything works in ordinary go test, too: [Inputs] can be made by hand, and the log goes to standard error.
package meter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Definition is a meter with a configuration of type C, which is read from spec.meter.config of the product. Keys that C
// does not have are refused: a typing error must not change a bill.
type Definition[C any] struct {
	// Name and Version of the plugin.
	Name, Version string
	// Dimensions that Measure may report, as AWS Marketplace knows them.
	Dimensions []string
	// Inputs that it asks for, by the names that a product must give them.
	Inputs []string
	// Schema is the JSON schema of the configuration, for people and tools.
	Schema string
	// Default is the configuration of a product that has none; what a product leaves out is taken from it.
	Default C
	// Check refuses a configuration that can be read but makes no sense. It may be nil.
	Check func(C) error
	// Measure measures one tick. Nothing outlives the call but the state of its outcome. An error is an `internal` failure
	// unless it is one of MissingInput; the tick then counts as missed.
	Measure func(Tick[C], Inputs) (*Outcome, error)
}

// Tick is what a meter is told about a tick.
type Tick[C any] struct {
	// At is the moment, such as 2026-11-21T14:58:00Z: RFC 3339, always UTC.
	At string
	// Seconds to the next tick.
	Seconds uint32
	// Product is the product's name.
	Product string
	// Config is the product's configuration.
	Config C
	// State is what the last successful tick left in its outcome; empty at first.
	State []byte
}

// Hour of the tick, such as 2026-11-21T14.
func (t Tick[C]) Hour() string { return t.At[:min(13, len(t.At))] }

// Day of the tick, such as 2026-11-21.
func (t Tick[C]) Day() string { return t.At[:min(10, len(t.At))] }

// Recall reads what Outcome.Remember left, and leaves the value as it is at first.
func (t Tick[C]) Recall(value any) error {
	if len(t.State) == 0 {
		return nil
	}
	if err := json.Unmarshal(t.State, value); err != nil {
		return fmt.Errorf("the state of the last tick cannot be read: %w", err)
	}
	return nil
}

// Export makes a component of a definition. Call it once, from an init function.
func Export[C any](d Definition[C]) {
	exported = &component{
		name: d.Name, version: d.Version, dimensions: d.Dimensions, inputs: d.Inputs, schema: d.Schema,
		validate: func(config string) error {
			_, err := d.parse(config)
			return err
		},
		measure: func(t rawTick, inputs Inputs) (*Outcome, error) {
			config, err := d.parse(t.config)
			if err != nil {
				return nil, &failure{invalidConfig, err.Error()}
			}
			return d.Measure(Tick[C]{t.at, t.seconds, t.product, config, t.state}, inputs)
		},
	}
}

func (d Definition[C]) parse(text string) (C, error) {
	config := d.Default
	trimmed := bytes.TrimSpace([]byte(text))
	if len(trimmed) > 0 && !bytes.Equal(trimmed, []byte("null")) {
		decoder := json.NewDecoder(bytes.NewReader(trimmed))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&config); err != nil {
			return config, err
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return config, errors.New("there is more than one JSON value")
		}
	}
	if d.Check != nil {
		if err := d.Check(config); err != nil {
			return config, err
		}
	}
	return config, nil
}

// component is a definition without its type.
type component struct {
	name, version      string
	dimensions, inputs []string
	schema             string
	validate           func(string) error
	measure            func(rawTick, Inputs) (*Outcome, error)
}

type rawTick struct {
	at      string
	seconds uint32
	product string
	config  string
	state   []byte
}

var exported *component

type kind uint8

// In the order of `failure` in the interface.
const (
	invalidConfig kind = iota
	missingInput
	internal
)

type failure struct {
	kind    kind
	message string
}

func (f *failure) Error() string { return f.message }

// MissingInput is the error of a meter that lacks an input. Counters heal at the next tick, gauges are held for five
// intervals. Readings that are left out instead say that the usage has ended.
func MissingInput(format string, values ...any) error {
	return &failure{missingInput, fmt.Sprintf(format, values...)}
}

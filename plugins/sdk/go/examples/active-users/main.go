// State: how many different users an hour or a day has seen. With `fold: Max` the last tick of the hour decides.
//
// Names are remembered, so that a user who comes back is not counted again. At most 64 KiB of them fit; what is more is a
// failure of the tick, and never too small a number.
package main

import (
	"fmt"
	"slices"

	"tollkeeper.dev/meter"
)

// Config is spec.meter.config of the product.
type Config struct {
	// How long a user counts once: hour or day.
	Period string `json:"period"`
}

const schema = `{
	"type": "object",
	"additionalProperties": false,
	"properties": {
		"period": {
			"description": "How long a user counts once.",
			"enum": ["hour", "day"],
			"default": "hour"
		}
	}
}`

// activity is what the product says at `http`.
type activity struct {
	// Who has been active lately.
	Users []string `json:"users"`
}

// seen is what one tick tells the next.
type seen struct {
	Period string   `json:"period"`
	Users  []string `json:"users"`
}

func check(config Config) error {
	if config.Period != "hour" && config.Period != "day" {
		return fmt.Errorf("`period` is `%s`, not hour or day", config.Period)
	}
	return nil
}

func measure(tick meter.Tick[Config], inputs meter.Inputs) (*meter.Outcome, error) {
	var active activity
	if err := inputs.JSON("activity", &active); err != nil {
		return nil, err
	}
	period := tick.Hour()
	if tick.Config.Period == "day" {
		period = tick.Day()
	}
	var known seen
	if err := tick.Recall(&known); err != nil {
		return nil, err
	}
	if known.Period != period {
		known = seen{Period: period}
	}
	known.Users = append(known.Users, active.Users...)
	slices.Sort(known.Users)
	known.Users = slices.Compact(known.Users)

	outcome := &meter.Outcome{}
	outcome.Gauge("active_users", meter.Units(uint32(len(known.Users))))
	return outcome, outcome.Remember(known)
}

func init() {
	meter.Export(meter.Definition[Config]{
		Name:       "active-users",
		Version:    "1.0.0",
		Dimensions: []string{"active_users"},
		Inputs:     []string{"activity"},
		Schema:     schema,
		Default:    Config{Period: "hour"},
		Check:      check,
		Measure:    measure,
	})
}

// A plugin is called, not started.
func main() {}

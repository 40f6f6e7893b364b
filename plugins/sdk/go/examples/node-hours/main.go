// A gauge: how many nodes a cluster has. With `fold: TimeWeighted` the product is billed by node-hours.
package main

import "tollkeeper.dev/meter"

// Config is spec.meter.config of the product.
type Config struct {
	// Nodes with this label are not counted; empty for none.
	IgnoreLabel string `json:"ignoreLabel"`
}

const schema = `{
	"type": "object",
	"additionalProperties": false,
	"properties": {
		"ignoreLabel": {
			"description": "Nodes with this label are not counted; empty for none.",
			"type": "string",
			"default": ""
		}
	}
}`

func measure(tick meter.Tick[Config], inputs meter.Inputs) (*meter.Outcome, error) {
	nodes, err := inputs.Objects("nodes")
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, meter.MissingInput("`nodes` is empty, but every cluster has nodes")
	}
	var counted uint32
	for _, node := range nodes {
		if _, ignored := node.Labels.Get(tick.Config.IgnoreLabel); !ignored {
			counted++
		}
	}
	outcome := &meter.Outcome{}
	outcome.Gauge("node_hours", meter.Units(counted))
	return outcome, nil
}

func init() {
	meter.Export(meter.Definition[Config]{
		Name:       "node-hours",
		Version:    "1.0.0",
		Dimensions: []string{"node_hours"},
		Inputs:     []string{"nodes"},
		Schema:     schema,
		Measure:    measure,
	})
}

// A plugin is called, not started.
func main() {}

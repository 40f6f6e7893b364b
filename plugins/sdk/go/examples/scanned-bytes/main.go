// Counters: what every pod has scanned since it started, allocated to namespaces. The host bills the increase of each pod
// and notices when one starts again.
package main

import (
	"errors"
	"fmt"

	"tollkeeper.dev/meter"
)

// Config is spec.meter.config of the product.
type Config struct {
	// The metric: bytes since the pod started.
	Metric string `json:"metric"`
	// Key of the tag that allocates usage to namespaces.
	Tag string `json:"tag"`
}

const (
	bytesInAGigabyte = 1_000_000_000

	schema = `{
	"type": "object",
	"additionalProperties": false,
	"properties": {
		"metric": {
			"description": "The metric: bytes since the pod started.",
			"type": "string",
			"minLength": 1,
			"default": "scanned_bytes_total"
		},
		"tag": {
			"description": "Key of the tag that allocates usage to namespaces.",
			"type": "string",
			"minLength": 1,
			"default": "Namespace"
		}
	}
}`
)

func check(config Config) error {
	if config.Metric == "" || config.Tag == "" {
		return errors.New("`metric` and `tag` must not be empty")
	}
	return nil
}

func measure(tick meter.Tick[Config], inputs meter.Inputs) (*meter.Outcome, error) {
	samples, err := inputs.Samples("engine")
	if err != nil {
		return nil, err
	}
	metric := tick.Config.Metric
	outcome := &meter.Outcome{}
	seen := map[[2]string]bool{}
	for _, sample := range samples {
		if sample.Name != metric {
			continue
		}
		namespace, hasNamespace := sample.Labels.Get("namespace")
		pod, hasPod := sample.Labels.Get("pod")
		if !hasNamespace || !hasPod {
			return nil, fmt.Errorf("`%s` lacks the label namespace or pod", metric)
		}
		gigabytes, ok := meter.InUnits(sample.Value, bytesInAGigabyte)
		switch source := [2]string{namespace, pod}; {
		case !ok:
			meter.Warn("%s of %s/%s is ignored: it is not a number of bytes", metric, namespace, pod)
		case seen[source]:
			meter.Warn("%s of %s/%s is there twice; the first holds", metric, namespace, pod)
		default:
			seen[source] = true
			outcome.Counter("gb_scanned", gigabytes, pod, meter.Tag{Key: tick.Config.Tag, Value: namespace})
		}
	}
	return outcome, nil
}

func init() {
	meter.Export(meter.Definition[Config]{
		Name:       "scanned-bytes",
		Version:    "1.0.0",
		Dimensions: []string{"gb_scanned"},
		Inputs:     []string{"engine"},
		Schema:     schema,
		Default:    Config{Metric: "scanned_bytes_total", Tag: "Namespace"},
		Check:      check,
		Measure:    measure,
	})
}

// A plugin is called, not started.
func main() {}

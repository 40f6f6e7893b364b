package main

import (
	"slices"
	"testing"

	"tollkeeper.dev/meter"
)

func measured(ignoreLabel string, inputs meter.Inputs) ([]string, error) {
	outcome, err := measure(meter.Tick[Config]{
		At: "2026-11-21T14:58:00Z", Seconds: 60, Product: "example", Config: Config{ignoreLabel},
	}, inputs)
	if err != nil {
		return nil, err
	}
	return outcome.Lines(), nil
}

var nodes = meter.Inputs{"nodes": meter.Objects{
	{Kind: "Node", Name: "a", Labels: meter.Labels{{Key: "control"}}, Body: "{}"},
	{Kind: "Node", Name: "b", Body: "{}"},
}}

func TestEveryNodeIsCounted(t *testing.T) {
	lines, err := measured("", nodes)
	if err != nil || !slices.Equal(lines, []string{"node_hours 2.000000"}) {
		t.Error(lines, err)
	}
}

func TestANodeWithTheLabelIsNot(t *testing.T) {
	lines, err := measured("control", nodes)
	if err != nil || !slices.Equal(lines, []string{"node_hours 1.000000"}) {
		t.Error(lines, err)
	}
}

func TestAClusterWithoutNodesIsNotMeasured(t *testing.T) {
	for _, inputs := range []meter.Inputs{{}, {"nodes": meter.Objects{}}, {"nodes": meter.Unavailable("timed out")}} {
		if lines, err := measured("", inputs); err == nil {
			t.Error(lines)
		}
	}
}

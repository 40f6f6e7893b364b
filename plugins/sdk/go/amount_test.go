package meter

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestAmountsAreThoseOfEverySDK(t *testing.T) {
	// The same table in every SDK: function, argument, result.
	amounts, err := os.ReadFile("amounts.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, line := range strings.Split(strings.TrimSpace(string(amounts)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "\t")
		var found Amount
		var ok bool
		switch number, _ := strconv.ParseFloat(columns[1], 64); columns[0] {
		case "of":
			found, ok = Of(number)
		case "gigabytes":
			found, ok = InUnits(number, 1_000_000_000)
		case "quantity":
			found, ok = Quantity(columns[1])
		}
		text := "-"
		if ok {
			text = found.String()
		}
		if text != columns[2] {
			t.Errorf("%s: %s", line, text)
		}
		seen++
	}
	if seen < 30 {
		t.Errorf("only %d lines", seen)
	}
}

func TestASumStopsAtTheMostThatCanBeReported(t *testing.T) {
	most, _ := Of(999_999_999_999)
	if sum := most.Plus(most).String(); sum != "999999999999.999999" {
		t.Error(sum)
	}
}

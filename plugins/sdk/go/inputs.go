package meter

import (
	"encoding/json"
	"fmt"
)

// Inputs of a tick, by the names that the product gives them.
//
// An input that could not be read, is not declared or holds something else is an error of MissingInput, so that returning it
// is right.
type Inputs map[string]Data

// Data is the contents of an input: Objects, Samples, Scalar, JSON or Unavailable.
type Data interface{ data() }

// Objects of Kubernetes, reduced to the declared fields.
type Objects []Object

// Samples of metrics.
type Samples []Sample

// Scalar is the one number of a query.
type Scalar float64

// JSON is a document.
type JSON string

// Unavailable is why an input could not be read.
type Unavailable string

func (Objects) data()     {}
func (Samples) data()     {}
func (Scalar) data()      {}
func (JSON) data()        {}
func (Unavailable) data() {}

// Tag is a key and a value: of a label, or of what usage is allocated to.
type Tag struct{ Key, Value string }

// Labels in the order of their keys.
type Labels []Tag

// Get is the value of a label, and whether it is there.
func (l Labels) Get(key string) (string, bool) {
	for _, tag := range l {
		if tag.Key == key {
			return tag.Value, true
		}
	}
	return "", false
}

// Object of Kubernetes. A cluster-scoped one has no namespace.
type Object struct {
	APIVersion, Kind, Namespace, Name, UID string
	Labels                                 Labels
	// Body is the JSON of the declared fields.
	Body string
}

// Decode reads the declared fields into a value of one's own.
func (o Object) Decode(value any) error {
	if err := json.Unmarshal([]byte(o.Body), value); err != nil {
		return fmt.Errorf("%s %s/%s: %w", o.Kind, o.Namespace, o.Name, err)
	}
	return nil
}

// Sample of a metric.
type Sample struct {
	Name   string
	Labels Labels
	Value  float64
}

// Objects of an input.
func (i Inputs) Objects(name string) ([]Object, error) { return find[Objects](i, name, "Kubernetes objects") }

// Samples of an input.
func (i Inputs) Samples(name string) ([]Sample, error) { return find[Samples](i, name, "samples of metrics") }

// Scalar of an input.
func (i Inputs) Scalar(name string) (float64, error) {
	value, err := find[Scalar](i, name, "one number")
	return float64(value), err
}

// JSON reads the document of an input into a value.
func (i Inputs) JSON(name string, value any) error {
	text, err := find[JSON](i, name, "a JSON document")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), value); err != nil {
		return MissingInput("`%s` is not as expected: %s", name, err)
	}
	return nil
}

func find[D Data](inputs Inputs, name, expected string) (D, error) {
	var none D
	switch data := inputs[name].(type) {
	case nil:
		return none, MissingInput("the product declares no input `%s`", name)
	case Unavailable:
		return none, MissingInput("`%s`: %s", name, string(data))
	case D:
		return data, nil
	default:
		return none, MissingInput("`%s` does not hold %s", name, expected)
	}
}

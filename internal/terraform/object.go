package terraform

import "strings"

// object is one resource or data source instance, of a plan or of a state.
type object struct {
	Address string
	// Label is the address without indexes: the name of the block, which is
	// what graphs speak of.
	Label  string
	Mode   string
	Type   string
	Name   string
	Module string
	// Key is the JSON of the index, empty for a single instance.
	Key    string
	Values attributes
}

func newObject(address, mode, kind, name, key string, values attributes) object {
	own := kind + "." + name
	if mode != managed {
		own = "data." + own
	}
	module := strings.TrimSuffix(address, "["+key+"]")
	module = strings.TrimSuffix(strings.TrimSuffix(module, own), ".")
	return object{
		Address: address, Label: withoutIndexes(address), Mode: mode, Type: kind,
		Name: name, Module: module, Key: key, Values: values,
	}
}

// withoutIndexes cuts every [index] out of an address.
func withoutIndexes(address string) string {
	if !strings.Contains(address, "[") {
		return address
	}
	var label strings.Builder
	depth, quoted, escaped := 0, false, false
	for _, r := range address {
		switch {
		case escaped:
			escaped = false
			continue
		case quoted && r == '\\':
			escaped = true
			continue
		case depth > 0 && r == '"':
			quoted = !quoted
			continue
		case quoted:
			continue
		case r == '[':
			depth++
			continue
		case r == ']':
			depth--
			continue
		}
		if depth == 0 {
			label.WriteRune(r)
		}
	}
	return label.String()
}

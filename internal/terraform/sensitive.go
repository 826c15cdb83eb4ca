package terraform

import "encoding/json"

// SensitiveValues are the texts in a state that it marks as sensitive. A state
// that does not parse has none.
func SensitiveValues(state []byte) []string {
	var parsed struct {
		Outputs map[string]struct {
			Value     any  `json:"value"`
			Sensitive bool `json:"sensitive"`
		} `json:"outputs"`
		Resources []struct {
			Instances []struct {
				Attributes any               `json:"attributes"`
				Sensitive  [][]attributeStep `json:"sensitive_attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	if json.Unmarshal(state, &parsed) != nil {
		return nil
	}
	var found []string
	for _, output := range parsed.Outputs {
		if output.Sensitive {
			found = appendTexts(found, output.Value)
		}
	}
	for _, resource := range parsed.Resources {
		for _, instance := range resource.Instances {
			for _, path := range instance.Sensitive {
				found = appendTexts(found, follow(instance.Attributes, path))
			}
		}
	}
	return found
}

// attributeStep is one step of a path into attributes.
type attributeStep struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// follow takes a path as far as it names attributes; what is below an index is
// taken whole.
func follow(value any, path []attributeStep) any {
	for _, step := range path {
		name, isName := step.Value.(string)
		fields, isObject := value.(map[string]any)
		if step.Type != "get_attr" || !isName || !isObject {
			break
		}
		value = fields[name]
	}
	return value
}

func appendTexts(texts []string, value any) []string {
	switch v := value.(type) {
	case string:
		return append(texts, v)
	case []any:
		for _, item := range v {
			texts = appendTexts(texts, item)
		}
	case map[string]any:
		for _, item := range v {
			texts = appendTexts(texts, item)
		}
	}
	return texts
}

// isSensitive tells whether an instance's sensitive paths take in an attribute
// of the top. Paths that do not parse could name anything.
func isSensitive(paths json.RawMessage, name string) bool {
	var parsed [][]attributeStep
	if len(paths) > 0 && json.Unmarshal(paths, &parsed) != nil {
		return true
	}
	for _, path := range parsed {
		if len(path) == 0 || path[0].Value == name {
			return true
		}
	}
	return false
}

package terraform_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/terraform"
)

func TestSensitiveValues(t *testing.T) {
	state := `{"version":4,
		"outputs":{"open":{"value":"shown","type":"string"},"closed":{"value":["one",{"x":"two"}],"sensitive":true}},
		"resources":[{"instances":[
			{"attributes":{"name":"shown","password":"three","nested":{"list":["four","shown-too"],"other":"shown"}},
			 "sensitive_attributes":[[{"type":"get_attr","value":"password"}],[{"type":"get_attr","value":"nested"},{"type":"get_attr","value":"list"},{"type":"index","value":{"value":0,"type":"number"}}]]},
			{"attributes":null,"sensitive_attributes":[[{"type":"get_attr","value":"gone"}]]}]}]}`
	require.ElementsMatch(t, []string{"one", "two", "three", "four", "shown-too"}, terraform.SensitiveValues([]byte(state)))
	require.Empty(t, terraform.SensitiveValues(nil))
	require.Empty(t, terraform.SensitiveValues([]byte(`{"outputs":`)))
}

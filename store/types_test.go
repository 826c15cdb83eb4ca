package store_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/store"
)

func TestListsAndMapsAreReadAsJSON(t *testing.T) {
	texts := []string{"", "a", "é", `"`, `\`, `\"`, ",", `","`, `":"`, ":", "[]", "{}", "<&>", "\n", " ", "]", "}"}
	for _, x := range texts {
		for _, y := range texts {
			list := store.Strings{}
			require.NoError(t, list.Scan(store.JSON([]string{x, y})))
			require.Equal(t, store.Strings{x, y}, list)
			m := store.StringMap{}
			require.NoError(t, m.Scan(store.JSON(map[string]string{x: y, "k" + y: x, "z": ","})))
			require.Equal(t, store.StringMap{x: y, "k" + y: x, "z": ","}, m)
		}
	}
	for _, text := range []string{"[]", `["a", "b"]`, `[ "a","b" ]`, `["a",1,"b"]`, `["a"`, `["a""b"]`, `["]`, `null`} {
		var want []string
		list := store.Strings{}
		require.Equal(t, json.Unmarshal([]byte(text), &want) == nil, list.Scan(text) == nil, text)
		require.Len(t, list, len(want), text)
	}
	for _, text := range []string{"{}", `{"a": "b"}`, `{"a":1,"b":"c"}`, `{"a":"b","a":"c"}`, `{"a"}`, `{"a":"b"`, `{"a":{"b":"c"}}`, `null`} {
		want := map[string]string{}
		m := store.StringMap{}
		require.Equal(t, json.Unmarshal([]byte(text), &want) == nil, m.Scan(text) == nil, text)
	}
}

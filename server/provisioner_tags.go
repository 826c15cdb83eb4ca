package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// Values of the scope tag.
const (
	scopeTagOrganization = "organization"
	scopeTagUser         = "user"
)

// normalizeTags adds the implicit tags by section 4.3 of the reference: what
// is not asked for a user is for the organization.
func normalizeTags(tags map[string]string, userID uuid.UUID) store.StringMap {
	out := store.StringMap(maps.Clone(tags))
	if out == nil {
		out = store.StringMap{}
	}
	if out[client.TagScope] == scopeTagUser {
		out[client.TagOwner] = userID.String()
		return out
	}
	out[client.TagScope], out[client.TagOwner] = scopeTagOrganization, ""
	return out
}

// checkTags refuses what neither side could ever match.
func checkTags(tags map[string]string) error {
	for key, value := range tags {
		if strings.ContainsRune(key+value, 0) {
			return invalid("tags", "Tags must not hold NUL bytes.")
		}
	}
	return nil
}

// tagsMatch is the table of section 4.3: an untagged job runs only on an
// untagged daemon; any other needs each of its tags on the daemon.
func tagsMatch(job, daemon map[string]string) bool {
	untagged := map[string]string{client.TagScope: scopeTagOrganization, client.TagOwner: ""}
	if maps.Equal(job, untagged) {
		return maps.Equal(daemon, untagged)
	}
	for key, value := range job {
		if got, ok := daemon[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// tagDifferences are the tags that keep a daemon from a job: those that it
// lacks or has otherwise, and for an untagged job those that it has.
func tagDifferences(job, daemon map[string]string) []client.TagDifference {
	differences := []client.TagDifference{}
	for _, key := range slices.Sorted(maps.Keys(job)) {
		wanted := job[key]
		if has, ok := daemon[key]; !ok {
			differences = append(differences, client.TagDifference{Tag: key, Wanted: &wanted})
		} else if has != wanted {
			differences = append(differences, client.TagDifference{Tag: key, Wanted: &wanted, Has: &has})
		}
	}
	if len(differences) > 0 || tagsMatch(job, daemon) {
		return differences
	}
	for _, key := range slices.Sorted(maps.Keys(daemon)) {
		if _, asked := job[key]; !asked {
			has := daemon[key]
			differences = append(differences, client.TagDifference{Tag: key, Has: &has})
		}
	}
	return differences
}

// tagDifference says the same in words.
func tagDifference(job, daemon map[string]string) string {
	var parts []string
	for _, d := range tagDifferences(job, daemon) {
		switch {
		case d.Wanted == nil:
			return "has tags of its own (" + showTags(daemon) + "), and untagged jobs run only on untagged provisioners"
		case d.Has == nil:
			parts = append(parts, fmt.Sprintf("lacks %s=%s", d.Tag, *d.Wanted))
		default:
			parts = append(parts, fmt.Sprintf("has %s=%s, the job asks %s=%s", d.Tag, *d.Has, d.Tag, *d.Wanted))
		}
	}
	return strings.Join(parts, ", ")
}

// showTags prints tags without the implicit ones that say nothing.
func showTags(tags map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if key != client.TagOwner || tags[key] != "" {
			parts = append(parts, key+"="+tags[key])
		}
	}
	return strings.Join(parts, " ")
}

// parseTagsQuery reads the tags parameter of the lists, a JSON object of strings.
func parseTagsQuery(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var tags map[string]string
	if err := json.Unmarshal([]byte(text), &tags); err != nil {
		return nil, invalid("tags", `Must be a JSON object of strings, as {"env":"prod"}.`)
	}
	return tags, nil
}

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

// tagDifference says what keeps a daemon from a job.
func tagDifference(job, daemon map[string]string) string {
	var missing []string
	for _, key := range slices.Sorted(maps.Keys(job)) {
		if got, ok := daemon[key]; !ok {
			missing = append(missing, fmt.Sprintf("lacks %s=%s", key, job[key]))
		} else if got != job[key] {
			missing = append(missing, fmt.Sprintf("has %s=%s, the job asks %s=%s", key, got, key, job[key]))
		}
	}
	if len(missing) == 0 {
		return "has tags of its own, and untagged jobs run only on untagged provisioners"
	}
	return strings.Join(missing, ", ")
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

package server

import (
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// allRows stands for no limit.
const allRows = math.MaxInt32

// PageInput are the parameters of lists of users that come in pages.
type PageInput struct {
	Query   string `query:"q" doc:"Words to search for, and key:value terms"`
	Limit   int32  `query:"limit" minimum:"0" maximum:"2147483647" doc:"0 is no limit"`
	Offset  int32  `query:"offset" minimum:"0" maximum:"2147483647"`
	AfterID string `query:"after_id" format:"uuid" doc:"Rows after this one"`
}

func (in PageInput) rows() int32 {
	if in.Limit == 0 {
		return allRows
	}
	return in.Limit
}

// after adds what lies behind the cursor; it narrows the page, not the count.
// The cursor is a user whom the list could show: behind another one there is
// nothing, whether they exist or not. among says who that is, of the table x.
func (in PageInput) after(filter store.Filter, among string, args ...any) store.Filter {
	if in.AfterID != "" {
		filter.Where("(lower(u.username), u.id) > (SELECT lower(x.username), x.id FROM users x WHERE x.id = ? AND "+among+")", append([]any{strings.ToLower(in.AfterID)}, args...)...)
	}
	return filter
}

// afterMember is after in a list of the members of an organization.
func (in PageInput) afterMember(filter store.Filter, organizationID uuid.UUID) store.Filter {
	return in.after(filter, "EXISTS (SELECT 1 FROM organization_members y WHERE y.user_id = x.id AND y.organization_id = ?)", organizationID.String())
}

// userFilter turns a search for users into conditions on the table u.
func userFilter(q string) (store.Filter, error) {
	var filter store.Filter
	s := parseSearch(q, "search", "name", "status", "role", "service_account", "last_seen_after", "last_seen_before",
		"created_after", "created_before", "github_com_user_id", "login_type")
	words := s.words
	if text, given := s.text("search"); given {
		words = text
	}
	if words != "" {
		filter.Where(`lower(u.username) LIKE lower(?) ESCAPE '\' OR lower(u.email) LIKE lower(?) ESCAPE '\'`, likePattern(words), likePattern(words))
	}
	if name, given := s.text("name"); given {
		filter.Where(`lower(u.name) LIKE lower(?) ESCAPE '\'`, likePattern(name))
	}
	userChoice(&filter, s, "status", "u.status", client.UserActive, client.UserDormant, client.UserSuspended)
	userChoice(&filter, s, "login_type", "u.login_type", client.LoginPassword, client.LoginGitHub, client.LoginOIDC, client.LoginNone, client.LoginToken)
	userRole(&filter, s.list("role"))
	if wanted, given := s.bool("service_account"); given && wanted {
		filter.Where("u.id = ''") // there are none
	}
	if _, given := s.one("github_com_user_id"); given {
		filter.Where("u.id = ''") // nobody signs in with GitHub
	}
	userTimes(&filter, s)
	return filter, s.err()
}

// onlyUsers keeps those that a token is narrowed to; nil is no limit.
func onlyUsers(filter *store.Filter, ids []string) {
	if ids != nil {
		filter.Where("u.id IN (SELECT value FROM json_list(?))", store.JSON(ids))
	}
}

func userTimes(filter *store.Filter, s *search) {
	for _, c := range []struct{ key, condition string }{
		{"last_seen_after", "u.last_seen_at > ?"}, {"last_seen_before", "u.last_seen_at < ?"},
		{"created_after", "u.created_at > ?"}, {"created_before", "u.created_at < ?"},
	} {
		if t, given := s.time(c.key); given {
			filter.Where(c.condition, store.At(t))
		}
	}
}

// userChoice keeps the rows whose column is one of the values given.
func userChoice(filter *store.Filter, s *search, key, column string, known ...string) {
	values := s.list(key)
	if len(values) == 0 {
		return
	}
	marks, args := make([]string, len(values)), make([]any, len(values))
	for i, value := range values {
		marks[i], args[i] = "?", value
		if !slices.Contains(known, value) {
			s.refuse(key, "%q is not one of %s", value, strings.Join(known, ", "))
		}
	}
	filter.Where(column+" IN ("+strings.Join(marks, ", ")+")", args...)
}

// userRole keeps holders of any of the site roles; everybody is a member.
func userRole(filter *store.Filter, roles []string) {
	var conditions []string
	var args []any
	for _, role := range roles {
		if role == authz.RoleMember {
			return
		}
		conditions = append(conditions, `u.roles LIKE ? ESCAPE '\'`)
		args = append(args, likePattern(`"`+role+`"`))
	}
	if len(conditions) > 0 {
		filter.Where(strings.Join(conditions, " OR "), args...)
	}
}

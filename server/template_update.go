package server

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"coder/client"
	"coder/internal/schedule"
	"coder/store"
)

// maxTTL is the longest time that a template may set, in ms: a hundred years.
const maxTTL = 100 * 365 * 24 * 3_600_000

// maxDescription is in characters.
const maxDescription = 127

// ttlField is a time of a template in ms, under the name that the request has for it.
type ttlField struct {
	name  string
	value func(*store.Template) *int64
	given func(client.UpdateTemplateRequest) *int64
}

type fieldSet int

// Creating a template and changing one call two of the fields by different names.
const (
	createFields fieldSet = iota + 1
	updateFields
)

func ttlFields(set fieldSet) []ttlField {
	dormant, autodelete := "time_til_dormant_ms", "time_til_dormant_autodelete_ms"
	if set == createFields {
		dormant, autodelete = "dormant_ttl_ms", "delete_ttl_ms"
	}
	return []ttlField{
		{"default_ttl_ms", func(t *store.Template) *int64 { return &t.DefaultTTLMs }, func(r client.UpdateTemplateRequest) *int64 { return r.DefaultTTLMS }},
		{"activity_bump_ms", func(t *store.Template) *int64 { return &t.ActivityBumpMs }, func(r client.UpdateTemplateRequest) *int64 { return r.ActivityBumpMS }},
		{"time_til_autostop_notify_ms", func(t *store.Template) *int64 { return &t.TimeTilAutostopNotifyMs }, func(r client.UpdateTemplateRequest) *int64 { return r.TimeTilAutostopNotifyMS }},
		{"failure_ttl_ms", func(t *store.Template) *int64 { return &t.FailureTTLMs }, func(r client.UpdateTemplateRequest) *int64 { return r.FailureTTLMS }},
		{dormant, func(t *store.Template) *int64 { return &t.TimeTilDormantMs }, func(r client.UpdateTemplateRequest) *int64 { return r.TimeTilDormantMS }},
		{autodelete, func(t *store.Template) *int64 { return &t.TimeTilDormantAutodeleteMs }, func(r client.UpdateTemplateRequest) *int64 { return r.TimeTilDormantAutoDeleteMS }},
	}
}

// applyTemplateUpdate changes what is given. All that is wrong comes in one 400.
func applyTemplateUpdate(t *store.Template, req client.UpdateTemplateRequest, set fieldSet) error {
	var wrong []client.ValidationError
	complain := func(field, detail string) {
		wrong = append(wrong, client.ValidationError{Field: field, Detail: detail})
	}
	applyTemplateTexts(t, req, complain)
	for _, f := range ttlFields(set) {
		ms := f.given(req)
		switch {
		case ms == nil:
		case *ms < 0:
			complain(f.name, "Must be a positive number of milliseconds, or 0.")
		case *ms > maxTTL:
			complain(f.name, "Must be at most 100 years.")
		default:
			*f.value(t) = *ms
		}
	}
	applyRequirements(t, req, complain)
	assign(&t.AllowUserAutostart, req.AllowUserAutostart)
	assign(&t.AllowUserAutostop, req.AllowUserAutostop)
	assign(&t.AllowUserCancel, req.AllowUserCancelWorkspaceJobs)
	assign(&t.RequireActiveVersion, req.RequireActiveVersion)
	assign(&t.DeprecationMessage, req.DeprecationMessage)
	assign(&t.DisableModuleCache, req.DisableModuleCache)
	applyChoice(&t.MaxPortShareLevel, "max_port_share_level", req.MaxPortShareLevel, complain, "owner", "authenticated", "organization", "public")
	applyChoice(&t.CorsBehavior, "cors_behavior", req.CORSBehavior, complain, "simple", "passthru")
	if req.DisableEveryoneGroupAccess != nil && *req.DisableEveryoneGroupAccess {
		delete(t.GroupACL, t.OrganizationID.String())
	}
	if wrong != nil {
		return badRequest("The request is not valid.", wrong...)
	}
	return nil
}

func applyTemplateTexts(t *store.Template, req client.UpdateTemplateRequest, complain func(field, detail string)) {
	if req.Name != nil && *req.Name != t.Name || t.Name == "" {
		assign(&t.Name, req.Name)
		if err := client.CheckName(client.NameTemplate, t.Name); err != nil {
			complain("name", err.Error())
		}
	}
	if req.DisplayName != nil {
		t.DisplayName = *req.DisplayName
		if err := client.CheckName(client.NameDisplay, t.DisplayName); err != nil {
			complain("display_name", err.Error())
		}
	}
	assign(&t.Description, req.Description)
	if utf8.RuneCountInString(t.Description) > maxDescription {
		complain("description", "Must be shorter than 128 characters.")
	}
	assign(&t.Icon, req.Icon)
}

// applyRequirements keeps days in the order of the week, each once.
func applyRequirements(t *store.Template, req client.UpdateTemplateRequest, complain func(field, detail string)) {
	if r := req.AutostopRequirement; r != nil {
		days, err := schedule.ParseWeekdays(r.DaysOfWeek)
		if err != nil {
			complain("autostop_requirement.days_of_week", err.Error())
		}
		if r.Weeks < 0 || r.Weeks > schedule.MaxWeeks {
			complain("autostop_requirement.weeks", "Must be between 0 and 16.")
		}
		t.AutostopDays, t.AutostopWeeks = days.Names(), max(1, r.Weeks)
	}
	if r := req.AutostartRequirement; r != nil {
		days, err := schedule.ParseWeekdays(r.DaysOfWeek)
		if err != nil {
			complain("autostart_requirement.days_of_week", err.Error())
		}
		t.AutostartDays = days.Names()
	}
}

func applyChoice(field *string, name string, given *string, complain func(field, detail string), choices ...string) {
	if given == nil {
		return
	}
	if !slices.Contains(choices, *given) {
		complain(name, "Must be one of "+strings.Join(choices, ", ")+".")
		return
	}
	*field = *given
}

func assign[T any](field *T, given *T) {
	if given != nil {
		*field = *given
	}
}

func everyDay() store.Strings { return schedule.EveryDay.Names() }

// cloneMap is never nil.
func cloneMap(m store.StringMap) store.StringMap {
	if m == nil {
		return store.StringMap{}
	}
	return maps.Clone(m)
}

package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// UserAppearance is how a user wants pages to look.
type UserAppearance struct {
	ThemePreference string `json:"theme_preference" maxLength:"64"`
	TerminalFont    string `json:"terminal_font" maxLength:"64"`
	ThemeMode       string `json:"theme_mode" doc:"sync, single or empty"`
	ThemeLight      string `json:"theme_light" maxLength:"64"`
	ThemeDark       string `json:"theme_dark" maxLength:"64"`
}

// UserPreferences are a user's other choices.
type UserPreferences struct {
	TaskNotificationAlertDismissed bool `json:"task_notification_alert_dismissed"`
}

// QuietHours is the time of day at which a user's workspaces may be stopped.
type QuietHours struct {
	RawSchedule string    `json:"raw_schedule"`
	UserSet     bool      `json:"user_set"`
	UserCanSet  bool      `json:"user_can_set"`
	Time        string    `json:"time" doc:"HH:MM in the time zone"`
	Timezone    string    `json:"timezone"`
	Next        time.Time `json:"next"`
}

// UpdateQuietHoursRequest changes a user's quiet hours; empty takes the default.
type UpdateQuietHoursRequest struct {
	Schedule string `json:"schedule" maxLength:"128" doc:"A daily schedule: CRON_TZ=Zone M H * * *"`
}

// NotificationPreference says whether a user wants one kind of notification.
type NotificationPreference struct {
	ID        uuid.UUID `json:"id"`
	Disabled  bool      `json:"disabled"`
	UpdatedAt time.Time `json:"updated_at"`
}

// UpdateNotificationPreferencesRequest switches kinds of notifications off or on.
type UpdateNotificationPreferencesRequest struct {
	TemplateDisabledMap map[string]bool `json:"template_disabled_map"`
}

// WorkspaceQuota is what a user's workspaces cost a day, and may cost.
type WorkspaceQuota struct {
	CreditsConsumed int64 `json:"credits_consumed"`
	Budget          int64 `json:"budget"`
}

// UserAppearance reads how a user wants pages to look.
func (c *Client) UserAppearance(ctx context.Context, user string) (UserAppearance, error) {
	return get[UserAppearance](ctx, c, apiPath("users", user, "appearance"))
}

// UpdateUserAppearance replaces it.
func (c *Client) UpdateUserAppearance(ctx context.Context, user string, req UserAppearance) (UserAppearance, error) {
	return send[UserAppearance](ctx, c, http.MethodPut, apiPath("users", user, "appearance"), req)
}

// QuietHours reads a user's quiet hours.
func (c *Client) QuietHours(ctx context.Context, user string) (QuietHours, error) {
	return get[QuietHours](ctx, c, apiPath("users", user, "quiet-hours"))
}

// UpdateQuietHours changes a user's quiet hours.
func (c *Client) UpdateQuietHours(ctx context.Context, user string, req UpdateQuietHoursRequest) (QuietHours, error) {
	return send[QuietHours](ctx, c, http.MethodPut, apiPath("users", user, "quiet-hours"), req)
}

// WorkspaceQuota reads a user's quota in an organization.
func (c *Client) WorkspaceQuota(ctx context.Context, organization, user string) (WorkspaceQuota, error) {
	return get[WorkspaceQuota](ctx, c, apiPath("organizations", organization, "members", user, "workspace-quota"))
}

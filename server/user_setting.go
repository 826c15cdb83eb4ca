package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// Names of users' settings.
const (
	userAppearance  = "appearance"
	userPreferences = "preferences"
	userQuietHours  = "quiet_hours"
)

// defaultQuietHours is daily at midnight, UTC.
const defaultQuietHours = "CRON_TZ=UTC 0 0 * * *"

type updateUserAppearanceInput struct {
	UserPath
	Body client.UserAppearance
}

type updateUserPreferencesInput struct {
	UserPath
	Body client.UserPreferences
}

type updateQuietHoursInput struct {
	UserPath
	Body client.UpdateQuietHoursRequest
}

type updateNotificationPreferencesInput struct {
	UserPath
	Body client.UpdateNotificationPreferencesRequest
}

func (a *api) getUserAppearance(ctx context.Context, in *UserPath) (*output[client.UserAppearance], error) {
	return readUserSetting[client.UserAppearance](ctx, a, in.User, userAppearance)
}

func (a *api) updateUserAppearance(ctx context.Context, in *updateUserAppearanceInput) (*output[client.UserAppearance], error) {
	if fonts := []string{"", "geist-mono", "ibm-plex-mono", "fira-code", "source-code-pro", "jetbrains-mono"}; !slices.Contains(fonts, in.Body.TerminalFont) {
		return nil, invalid("terminal_font", "It must be empty or one of %s.", strings.Join(fonts[1:], ", "))
	}
	if modes := []string{"", "sync", "single"}; !slices.Contains(modes, in.Body.ThemeMode) {
		return nil, invalid("theme_mode", "It must be empty, sync or single.")
	}
	return writeUserSetting(ctx, a, in.User, userAppearance, in.Body)
}

func (a *api) getUserPreferences(ctx context.Context, in *UserPath) (*output[client.UserPreferences], error) {
	return readUserSetting[client.UserPreferences](ctx, a, in.User, userPreferences)
}

func (a *api) updateUserPreferences(ctx context.Context, in *updateUserPreferencesInput) (*output[client.UserPreferences], error) {
	return writeUserSetting(ctx, a, in.User, userPreferences, in.Body)
}

// readUserSetting is the zero value until the user chooses.
func readUserSetting[T any](ctx context.Context, a *api, ref, name string) (*output[T], error) {
	var value T
	user, err := a.personalUser(ctx, authz.ReadPersonal, ref)
	if err != nil {
		return nil, err
	}
	text, err := a.store.GetUserSetting(ctx, store.GetUserSettingParams{UserID: user.ID, Name: name})
	if store.IsNotFound(err) {
		return reply(value), nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return nil, fmt.Errorf("read the setting %s of a user: %w", name, err)
	}
	return reply(value), nil
}

func writeUserSetting[T any](ctx context.Context, a *api, ref, name string, value T) (*output[T], error) {
	user, err := a.personalUser(ctx, authz.UpdatePersonal, ref)
	if err != nil {
		return nil, err
	}
	if err := a.store.PutUserSetting(ctx, store.PutUserSettingParams{UserID: user.ID, Name: name, Value: store.JSON(value)}); err != nil {
		return nil, fmt.Errorf("write the setting %s of a user: %w", name, err)
	}
	return reply(value), nil
}

func (a *api) getQuietHours(ctx context.Context, in *UserPath) (*output[client.QuietHours], error) {
	saved, err := readUserSetting[client.UpdateQuietHoursRequest](ctx, a, in.User, userQuietHours)
	if err != nil {
		return nil, err
	}
	return a.replyQuietHours(saved.Body.Schedule)
}

func (a *api) updateQuietHours(ctx context.Context, in *updateQuietHoursInput) (*output[client.QuietHours], error) {
	if in.Body.Schedule != "" {
		if _, err := parseQuietHours(in.Body.Schedule); err != nil {
			return nil, err
		}
	}
	if _, err := writeUserSetting(ctx, a, in.User, userQuietHours, in.Body); err != nil {
		return nil, err
	}
	return a.replyQuietHours(in.Body.Schedule)
}

func (a *api) replyQuietHours(schedule string) (*output[client.QuietHours], error) {
	out := client.QuietHours{RawSchedule: schedule, UserSet: schedule != "", UserCanSet: true}
	if schedule == "" {
		out.RawSchedule = defaultQuietHours
	}
	daily, err := parseQuietHours(out.RawSchedule)
	if err != nil {
		return nil, err
	}
	out.Time, out.Timezone, out.Next = fmt.Sprintf("%02d:%02d", daily.hour, daily.minute), daily.zone.String(), daily.next(a.now())
	return reply(out), nil
}

// dailyTime is a time of every day in one time zone.
type dailyTime struct {
	hour, minute int
	zone         *time.Location
}

// parseQuietHours reads "CRON_TZ=Zone M H * * *": a time of every day.
func parseQuietHours(schedule string) (dailyTime, error) {
	bad := invalid("schedule", "%q is not a daily schedule such as CRON_TZ=Europe/Berlin 30 22 * * *.", schedule)
	fields := strings.Fields(schedule)
	zone := "UTC"
	if len(fields) == 6 && strings.HasPrefix(fields[0], "CRON_TZ=") {
		zone, fields = strings.TrimPrefix(fields[0], "CRON_TZ="), fields[1:]
	}
	if len(fields) != 5 || !slices.Equal(fields[2:], []string{"*", "*", "*"}) {
		return dailyTime{}, bad
	}
	minute, minuteErr := strconv.Atoi(fields[0])
	hour, hourErr := strconv.Atoi(fields[1])
	location, zoneErr := time.LoadLocation(zone)
	if minuteErr != nil || hourErr != nil || zoneErr != nil || minute < 0 || minute > 59 || hour < 0 || hour > 23 {
		return dailyTime{}, bad
	}
	return dailyTime{hour, minute, location}, nil
}

func (d dailyTime) next(now time.Time) time.Time {
	now = now.In(d.zone)
	next := time.Date(now.Year(), now.Month(), now.Day(), d.hour, d.minute, 0, 0, d.zone)
	if !next.After(now) {
		next = time.Date(now.Year(), now.Month(), now.Day()+1, d.hour, d.minute, 0, 0, d.zone)
	}
	return next
}

// getNotificationPreferences is empty: there are no notifications to choose from.
func (a *api) getNotificationPreferences(ctx context.Context, in *UserPath) (*output[[]client.NotificationPreference], error) {
	if _, err := a.personalUser(ctx, authz.ReadPersonal, in.User); err != nil {
		return nil, err
	}
	return reply([]client.NotificationPreference{}), nil
}

func (a *api) updateNotificationPreferences(ctx context.Context, in *updateNotificationPreferencesInput) (*output[[]client.NotificationPreference], error) {
	if _, err := a.personalUser(ctx, authz.UpdatePersonal, in.User); err != nil {
		return nil, err
	}
	for id := range in.Body.TemplateDisabledMap {
		return nil, invalid("template_disabled_map", "There is no notification template %q.", id)
	}
	return reply([]client.NotificationPreference{}), nil
}

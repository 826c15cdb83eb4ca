package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"coder/client"
	"coder/internal/authz"
	"coder/internal/schedule"
	"coder/store"
)

// Names of users' settings.
const (
	userAppearance  = "appearance"
	userPreferences = "preferences"
	userQuietHours  = "quiet_hours"
)

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
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if err := tx.PutUserSetting(ctx, store.PutUserSettingParams{UserID: user.ID, Name: name, Value: store.JSON(value)}); err != nil {
			return err
		}
		entry := userEntry(client.AuditWrite, user)
		entry.before, entry.after = map[string]any{}, map[string]any{name: value}
		return a.audit(ctx, tx, entry)
	})
	if err != nil {
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
	if a.options.DisableCustomQuietHours {
		return nil, forbidden("The quiet hours of this deployment are the same for everybody.")
	}
	if in.Body.Schedule != "" {
		if _, err := schedule.ParseQuietHours(in.Body.Schedule); err != nil {
			return nil, invalid("schedule", "%s", err.Error())
		}
	}
	if _, err := writeUserSetting(ctx, a, in.User, userQuietHours, in.Body); err != nil {
		return nil, err
	}
	return a.replyQuietHours(in.Body.Schedule)
}

func (a *api) replyQuietHours(chosen string) (*output[client.QuietHours], error) {
	hours, err := a.quietHours(chosen)
	if err != nil {
		return nil, err
	}
	return reply(client.QuietHours{
		RawSchedule: hours.String(), UserSet: chosen != "" && !a.options.DisableCustomQuietHours, UserCanSet: !a.options.DisableCustomQuietHours,
		Time: hours.Clock(), Timezone: hours.Location().String(), Next: hours.Next(a.now()),
	}), nil
}

// quietHours is the schedule that a user chose, else the deployment's.
func (a *api) quietHours(chosen string) (schedule.QuietHours, error) {
	if chosen == "" || a.options.DisableCustomQuietHours {
		chosen = a.options.DefaultQuietHours
	}
	return schedule.ParseQuietHours(chosen)
}

// savedQuietHours reads a user's setting for a workspace's required stop; it
// is empty where the user has none.
func (a *api) savedQuietHours(setting string) (schedule.QuietHours, error) {
	var saved client.UpdateQuietHoursRequest
	if setting != "" {
		if err := json.Unmarshal([]byte(setting), &saved); err != nil {
			return schedule.QuietHours{}, fmt.Errorf("read the quiet hours of a user: %w", err)
		}
	}
	return a.quietHours(saved.Schedule)
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

package server

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"coder/client"
	"coder/store"
)

// settingAppearance is how the deployment presents itself.
const settingAppearance = "appearance"

type appearanceInput struct {
	Body client.UpdateAppearanceRequest
}

func (a *api) getAppearance(ctx context.Context, _ *struct{}) (*output[client.Appearance], error) {
	saved, err := a.savedAppearance(ctx)
	if err != nil {
		return nil, err
	}
	out := client.Appearance{
		ApplicationName: saved.ApplicationName, LogoURL: saved.LogoURL, ServiceBanner: saved.ServiceBanner,
		AnnouncementBanners: nonNil(saved.AnnouncementBanners),
	}
	return reply(out), nil
}

func (a *api) savedAppearance(ctx context.Context) (client.UpdateAppearanceRequest, error) {
	var saved client.UpdateAppearanceRequest
	text, err := a.store.GetSetting(ctx, settingAppearance)
	if store.IsNotFound(err) {
		return saved, nil
	}
	if err != nil {
		return saved, err
	}
	if err := json.Unmarshal([]byte(text), &saved); err != nil {
		return saved, fmt.Errorf("read the appearance: %w", err)
	}
	return saved, nil
}

func (a *api) updateAppearance(ctx context.Context, in *appearanceInput) (*output[client.UpdateAppearanceRequest], error) {
	for _, banner := range append([]client.Banner{in.Body.ServiceBanner}, in.Body.AnnouncementBanners...) {
		if err := checkColor(banner.BackgroundColor); err != nil {
			return nil, err
		}
	}
	in.Body.AnnouncementBanners = nonNil(in.Body.AnnouncementBanners)
	if err := a.store.PutSetting(ctx, store.PutSettingParams{Name: settingAppearance, Value: store.JSON(in.Body)}); err != nil {
		return nil, fmt.Errorf("change the appearance: %w", err)
	}
	return reply(in.Body), nil
}

// checkColor accepts #rrggbb, and no color.
func checkColor(text string) error {
	if text == "" {
		return nil
	}
	digits, marked := strings.CutPrefix(text, "#")
	if _, err := hex.DecodeString(digits); err != nil || !marked || len(digits) != 6 {
		return invalid("background_color", "%q is not a color such as #004852.", text)
	}
	return nil
}

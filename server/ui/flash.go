package ui

import (
	"encoding/base64"
	"net/http"
)

// flashCookie carries one sentence to the page after a redirect.
const flashCookie = "coder_said"

// maxFlash keeps the sentence well within what browsers accept as a cookie.
const maxFlash = 1024

func (v *visit) setFlash(text string) {
	text = text[:min(len(text), maxFlash)]
	http.SetCookie(v.w, v.flash(base64.RawURLEncoding.EncodeToString([]byte(text)), 60))
}

// takeFlash reads the sentence and makes the browser forget it.
func (v *visit) takeFlash() string {
	c, err := v.r.Cookie(flashCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(v.w, v.flash("", -1))
	text, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(text) > maxFlash {
		return ""
	}
	return string(text)
}

func (v *visit) flash(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: flashCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: v.ui.options.SecureCookie, SameSite: http.SameSiteLaxMode,
	}
}

package ui

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// flashCookie carries one sentence to the page after a redirect.
const flashCookie = "coder_said"

// maxFlash keeps the sentence well within what browsers accept as a cookie.
const maxFlash = 1024

// underwayMark begins what holds only while a build is under way; no base64
// begins with it.
const underwayMark = "."

func (v *visit) setFlash(text string, underway bool) {
	value := base64.RawURLEncoding.EncodeToString([]byte(text[:min(len(text), maxFlash)]))
	if underway {
		value = underwayMark + value
	}
	http.SetCookie(v.w, v.flash(value, 60))
}

// takeFlash reads the sentence and makes the browser forget it.
func (v *visit) takeFlash() (text string, underway bool) {
	c, err := v.r.Cookie(flashCookie)
	if err != nil {
		return "", false
	}
	http.SetCookie(v.w, v.flash("", -1))
	value, underway := strings.CutPrefix(c.Value, underwayMark)
	decoded, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(decoded) > maxFlash {
		return "", false
	}
	return strings.ToValidUTF8(string(decoded), ""), underway
}

func (v *visit) flash(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: flashCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: v.ui.options.SecureCookie, SameSite: http.SameSiteLaxMode,
	}
}

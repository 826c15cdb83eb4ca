package server_test

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/server/servertest"
)

// luminance is that of WCAG 2.2, of a colour written as #rrggbb.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(colour[1:], 16, 32)
	require.NoError(t, err)
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(n>>(16-8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestTextsCanBeRead holds every pair of text and ground that the stylesheet
// uses to the contrast that WCAG asks at level AA, light and dark.
func TestTextsCanBeRead(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	sheet := regexp.MustCompile(`/static/style-[^"]+\.css`).FindString(s.Browser(t).Open("/login").Body)
	css := s.Response(t, "", http.MethodGet, "/"+sheet, "").Body
	tokens := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`).FindAllStringSubmatch(css, -1) {
		tokens[m[1]] = [2]string{m[2], m[3]}
	}
	pairs := [][2]string{
		{"ink", "ground"}, {"ink", "sunk"}, {"ink", "raised"}, {"soft", "ground"}, {"soft", "raised"}, {"soft", "sunk"}, {"faint", "ground"}, {"faint", "raised"}, {"faint", "sunk"},
		{"accent", "ground"}, {"accent", "raised"}, {"accent", "accent-wash"}, {"accent-ink", "accent"}, {"good", "good-wash"}, {"busy", "busy-wash"}, {"warn", "warn-wash"}, {"bad", "bad-wash"},
		{"bad", "ground"}, {"bad", "raised"}, {"soft", "off-wash"},
	}
	for _, pair := range pairs {
		text, ground := tokens[pair[0]], tokens[pair[1]]
		require.NotEmpty(t, text[0], pair)
		require.NotEmpty(t, ground[0], pair)
		for i, mode := range []string{"light", "dark"} {
			require.GreaterOrEqual(t, contrast(t, text[i], ground[i]), 4.5, "%s on %s, %s", pair[0], pair[1], mode)
		}
	}
}

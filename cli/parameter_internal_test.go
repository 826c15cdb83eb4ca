package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
)

// someone answers prompts with the lines of typed; no lines is nobody there.
func someone(typed string) (*Env, *bytes.Buffer) {
	stderr := &bytes.Buffer{}
	return &Env{
		Stdin: strings.NewReader(typed), Stdout: &bytes.Buffer{}, Stderr: stderr, Now: time.Now,
		Getenv: func(string) string { return "" }, IsTerminal: func(any) bool { return typed != "" },
	}, stderr
}

func TestParameters(t *testing.T) {
	t.Parallel()
	region := client.TemplateVersionParameter{Name: "region", Type: "string", Required: true, Options: []client.TemplateVersionParameterOption{
		{Name: "Europe", Value: "eu"}, {Name: "America", Value: "us"}}}
	size := client.TemplateVersionParameter{Name: "size", Type: "number", DefaultValue: "2", Mutable: true, ValidationMin: new(int32(1)), ValidationMax: new(int32(8))}
	debug := client.TemplateVersionParameter{Name: "debug", Type: "bool", DefaultValue: "false", Mutable: true, Ephemeral: true}
	empty := client.TemplateVersionParameter{Name: "motd", Type: "string", DefaultValue: "", Mutable: true}
	tools := client.TemplateVersionParameter{Name: "tools", Type: "list(string)", DefaultValue: "[]", Mutable: true}
	values := func(pairs ...string) []client.BuildParameter {
		out := []client.BuildParameter{}
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, client.BuildParameter{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	file := filepath.Join(t.TempDir(), "parameters.yaml")
	require.NoError(t, os.WriteFile(file, []byte("region: us\nsize: 4\ntools: [go, make]\n"), 0o600))

	for _, tt := range []struct {
		name    string
		options parameterOptions
		source  parameterSource
		typed   string
		want    []client.BuildParameter
		fails   string
	}{
		{name: "a flag, and defaults with --yes", options: parameterOptions{values: []string{"region=eu"}},
			source: parameterSource{declared: []client.TemplateVersionParameter{region, size, debug, empty}, silent: true}, typed: "nobody reads this\n",
			want: values("region", "eu", "size", "2", "motd", "")},
		{name: "a flag wins over the file", options: parameterOptions{file: file, values: []string{"size=5"}},
			source: parameterSource{declared: []client.TemplateVersionParameter{region, size, tools}},
			want:   values("region", "us", "size", "5", "tools", `["go","make"]`)},
		{name: "values may hold an equals sign", options: parameterOptions{values: []string{"motd=a=b"}},
			source: parameterSource{declared: []client.TemplateVersionParameter{empty}}, want: values("motd", "a=b")},
		{name: "a default of one's own", options: parameterOptions{defaults: []string{"size=3"}, useDefaults: true},
			source: parameterSource{declared: []client.TemplateVersionParameter{size}}, typed: "8\n", want: values("size", "3")},
		{name: "the values of another workspace", options: parameterOptions{useDefaults: true},
			source: parameterSource{declared: []client.TemplateVersionParameter{region, size}, copied: values("region", "us", "size", "7")},
			want:   values("region", "us", "size", "7")},
		{name: "a copied value that no longer fits", options: parameterOptions{useDefaults: true},
			source: parameterSource{declared: []client.TemplateVersionParameter{size}, copied: values("size", "99")}, want: values("size", "2")},
		{name: "what a preset says is left to the server", options: parameterOptions{},
			source: parameterSource{declared: []client.TemplateVersionParameter{region}, preset: []client.PresetParameter{{Name: "region", Value: "eu"}}}, want: values()},
		{name: "what the last build had is left to the server",
			source: parameterSource{declared: []client.TemplateVersionParameter{region, size}, previous: values("region", "eu", "size", "4")}, want: values()},
		{name: "always asking, except for what cannot change", options: parameterOptions{alwaysPrompt: true},
			source: parameterSource{declared: []client.TemplateVersionParameter{region, size}, previous: values("region", "eu", "size", "4")}, typed: "6\n", want: values("size", "6")},
		{name: "an empty line is the last value", options: parameterOptions{alwaysPrompt: true},
			source: parameterSource{declared: []client.TemplateVersionParameter{size}, previous: values("size", "4")}, typed: "\n", want: values("size", "4")},
		{name: "an option by its name", source: parameterSource{declared: []client.TemplateVersionParameter{region}}, typed: "america\n", want: values("region", "us")},
		{name: "an option by its number, at the second try", source: parameterSource{declared: []client.TemplateVersionParameter{region}}, typed: "3\n1\n", want: values("region", "eu")},
		{name: "a number out of range is asked again", source: parameterSource{declared: []client.TemplateVersionParameter{size}}, typed: "9\n8\n", want: values("size", "8")},
		{name: "words become a list", source: parameterSource{declared: []client.TemplateVersionParameter{tools}}, typed: "go, make\n", want: values("tools", `["go","make"]`)},
		{name: "ephemeral ones are asked for on request", options: parameterOptions{promptEphemeral: true},
			source: parameterSource{declared: []client.TemplateVersionParameter{debug}, previous: values("debug", "false")}, typed: "true\n", want: values("debug", "true")},
		{name: "ephemeral ones by flag", options: parameterOptions{ephemeral: []string{"debug=true"}},
			source: parameterSource{declared: []client.TemplateVersionParameter{debug}}, want: values("debug", "true")},
		{name: "nobody to ask", source: parameterSource{declared: []client.TemplateVersionParameter{region}}, fails: `"region" needs a value: give --parameter "region=value"; one of eu, us`},
		{name: "an unknown name", options: parameterOptions{values: []string{"regin=eu"}}, source: parameterSource{declared: []client.TemplateVersionParameter{region}},
			fails: `no parameter "regin"; it has: region`},
		{name: "a value that is no option", options: parameterOptions{values: []string{"region=moon"}}, source: parameterSource{declared: []client.TemplateVersionParameter{region}}, fails: "region"},
		{name: "a pair that is none", options: parameterOptions{values: []string{"region"}}, fails: "name=value"},
		{name: "a file that is not there", options: parameterOptions{file: "/nowhere.yaml"}, fails: "/nowhere.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env, stderr := someone(tt.typed)
			got, err := tt.options.resolve(t.Context(), env, tt.source)
			if tt.fails != "" {
				require.ErrorContains(t, err, tt.fails)
				return
			}
			require.NoError(t, err, stderr.String())
			require.Equal(t, tt.want, got)
		})
	}
}

func TestLongDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"90m": 90 * time.Minute, "1d": 24 * time.Hour, "1y2d": 367 * 24 * time.Hour, "1.5h": 90 * time.Minute, "2w": 14 * 24 * time.Hour} {
		got, err := parseLongDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "soon", "5", "-1h", "0s", "1h tomorrow", "999999y"} {
		_, err := parseLongDuration(text)
		require.Error(t, err, text)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain ✨ zürich\t日本": "plain ✨ zürich\t日本",
		"\x1b[31mred":        `\x1b[31mred`,
		"a\r\nb":             `a\r\nb`,
		"\u202egnp.exe":      `\u202egnp.exe`,
		"\xff":               `\ufffd`,
	} {
		require.Equal(t, want, printable(in))
	}
}

func TestTemplateFrontMatterIsOptional(t *testing.T) {
	t.Parallel()
	require.Equal(t, frontMatter{}, readFrontMatter([]byte("no archive")))
}

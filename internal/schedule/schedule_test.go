package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/internal/schedule"
)

func at(t require.TestingT, text string) time.Time {
	out, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return out
}

func autostart(t require.TestingT, text string) schedule.Autostart {
	a, err := schedule.ParseAutostart(text)
	require.NoError(t, err)
	return a
}

func TestParseAutostart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CRON_TZ=Europe/Dublin 30 9 * * 1-5":   "CRON_TZ=Europe/Dublin 30 9 * * 1-5",
		"  CRON_TZ=UTC   0  0 * *  * ":         "CRON_TZ=UTC 0 0 * * *",
		"TZ=America/Sao_Paulo 0 0 * * MON,wed": "CRON_TZ=America/Sao_Paulo 0 0 * * MON,wed",
		"*/15 8-18 * * sat-sun":                "CRON_TZ=UTC */15 8-18 * * sat-sun",
		"0 9 * * 7":                            "CRON_TZ=UTC 0 9 * * 7",
		"":                                     "",
		"0 9 1 * *":                            "error: day of month and month must be *",
		"0 9 * 1 *":                            "error: day of month and month must be *",
		"0 9 * *":                              "error: has 4 fields; it needs five",
		"0 0 9 * * *":                          "error: has 6 fields",
		"@daily":                               "error: has 1 fields",
		"60 9 * * *":                           "error: is no cron schedule",
		"0 24 * * *":                           "error: is no cron schedule",
		"0 9 * * mon#2":                        "error: \"#\" is not understood",
		"0 9 * * ?":                            "error: \"?\" is not understood",
		"0 H * * *":                            "error: is no cron schedule",
		"CRON_TZ=Local 0 9 * * *":              "error: time zone \"Local\" is unknown",
		"CRON_TZ=Mars/Base 0 9 * * *":          "error: time zone \"Mars/Base\" is unknown",
		"CRON_TZ= 0 9 * * *":                   "error: comes a time zone",
		"CRON_TZ=UTC":                          "error: comes a time zone",
		"CRON_TZ=../../etc/passwd 0 9 * * *":   "error: is unknown",
	} {
		a, err := schedule.ParseAutostart(text)
		if len(want) > 7 && want[:7] == "error: " {
			require.ErrorContains(t, err, want[7:], text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, a.String())
		require.Equal(t, want == "", a.IsZero())
	}
	require.Equal(t, []string{"sunday"}, autostart(t, "0 9 * * 7").Days().Names())
	require.Equal(t, []string{"monday", "saturday", "sunday"}, autostart(t, "0 9 * * sat-mon").Days().Names())
}

func TestNext(t *testing.T) {
	t.Parallel()
	weekend, err := schedule.ParseWeekdays([]string{"saturday", "sunday"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		schedule, after string
		allowed         schedule.Weekdays
		want            string
	}{
		"later today":                     {"CRON_TZ=Europe/Dublin 30 9 * * 1-5", "2026-07-01T08:29:59Z", schedule.EveryDay, "2026-07-01T08:30:00Z"},
		"not now, but the next time":      {"CRON_TZ=Europe/Dublin 30 9 * * 1-5", "2026-07-01T08:30:00Z", schedule.EveryDay, "2026-07-02T08:30:00Z"},
		"over the weekend":                {"CRON_TZ=Europe/Dublin 30 9 * * 1-5", "2026-07-03T12:00:00Z", schedule.EveryDay, "2026-07-06T08:30:00Z"},
		"a week on":                       {"0 9 * * 3", "2026-07-01T09:00:00Z", schedule.EveryDay, "2026-07-08T09:00:00Z"},
		"only on the template's days":     {"0 9 * * *", "2026-07-01T09:00:00Z", weekend, "2026-07-04T09:00:00Z"},
		"never on other days":             {"0 9 * * 1-5", "2026-07-01T09:00:00Z", weekend, ""},
		"a day of the zone, not of UTC":   {"CRON_TZ=Asia/Tokyo 0 1 * * 6", "2026-07-01T00:00:00Z", weekend, "2026-07-03T16:00:00Z"},
		"a time that the clock skips":     {"CRON_TZ=America/New_York 30 2 * * *", "2026-03-08T00:00:00Z", schedule.EveryDay, "2026-03-08T07:00:00Z"},
		"a midnight that the clock skips": {"CRON_TZ=America/Sao_Paulo 0 0 * * *", "2018-11-03T12:00:00Z", schedule.EveryDay, "2018-11-04T03:00:00Z"},
		"a time that comes twice":         {"CRON_TZ=America/New_York 30 1 * * *", "2026-11-01T00:00:00Z", schedule.EveryDay, "2026-11-01T05:30:00Z"},
		"the second time does not count":  {"CRON_TZ=America/New_York 30 1 * * *", "2026-11-01T05:30:00Z", schedule.EveryDay, "2026-11-02T06:30:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next, ok := autostart(t, c.schedule).Next(at(t, c.after), c.allowed)
			require.Equal(t, c.want != "", ok)
			if ok {
				require.Equal(t, c.want, next.UTC().Format(time.RFC3339))
			}
		})
	}
	_, ok := schedule.Autostart{}.Next(time.Now(), schedule.EveryDay)
	require.False(t, ok)
}

func zones() []string {
	return []string{"UTC", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "Pacific/Kiritimati"}
}

func drawTime(t *rapid.T, label string) time.Time {
	return time.Unix(rapid.Int64Range(at(t, "2010-01-01T00:00:00Z").Unix(), at(t, "2040-01-01T00:00:00Z").Unix()).Draw(t, label), 0)
}

func TestNextHoldsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		zone := rapid.SampledFrom(zones()).Draw(t, "zone")
		day := rapid.SampledFrom([]string{"*", "1-5", "0", "6,0", "3"}).Draw(t, "days")
		a := autostart(t, fmt.Sprintf("CRON_TZ=%s %d %d * * %s", zone, minute, hour, day))
		allowed := schedule.Weekdays(rapid.IntRange(1, 127).Draw(t, "allowed"))
		after := drawTime(t, "after")
		next, ok := a.Next(after, allowed)
		require.Equal(t, a.Days()&allowed != 0, ok)
		if !ok {
			return
		}
		require.True(t, next.After(after), "never now, never in the past")
		require.LessOrEqual(t, next.Sub(after), 15*24*time.Hour, "Samoa once left out a whole day")
		wanted := time.Date(next.Year(), next.Month(), next.Day(), hour, minute, 0, 0, next.Location())
		onTheClock := next.Hour() == hour && next.Minute() == minute
		require.True(t, onTheClock || next.Sub(wanted).Abs() <= 25*time.Hour, "moved only by a clock change")
		if onTheClock {
			require.True(t, (a.Days() & allowed).Has(next.Weekday()))
		}
		between := after.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(after)-1)).Draw(t, "between")))
		again, _ := a.Next(between, allowed)
		require.True(t, next.Equal(again), "asked at any moment before, the answer is the same")
	})
}

func TestHumanSchedules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"9:30AM Mon-Fri Europe/Dublin": {"CRON_TZ=Europe/Dublin 30 9 * * 1-5", "9:30AM Mon-Fri (Europe/Dublin)"},
		"9am":                          {"CRON_TZ=Asia/Tokyo 0 9 * * *", "9:00AM daily (Asia/Tokyo)"},
		"12:00AM Sun":                  {"CRON_TZ=Asia/Tokyo 0 0 * * 0", "12:00AM Sun (Asia/Tokyo)"},
		"17:05 sat,SUN UTC":            {"CRON_TZ=UTC 5 17 * * 0,6", "5:05PM Sat,Sun (UTC)"},
		"17:05 UTC":                    {"CRON_TZ=UTC 5 17 * * *", "5:05PM daily (UTC)"},
		"7:00 1-3,5":                   {"CRON_TZ=Asia/Tokyo 0 7 * * 1-3,5", "7:00AM Mon-Wed,Fri (Asia/Tokyo)"},
		"7:00 monday-wednesday":        {"CRON_TZ=Asia/Tokyo 0 7 * * 1-3", "7:00AM Mon-Wed (Asia/Tokyo)"},
		"7:00 fri-mon":                 {"CRON_TZ=Asia/Tokyo 0 7 * * 0,1,5,6", "7:00AM Mon,Fri-Sun (Asia/Tokyo)"},
	} {
		a, err := schedule.ParseHuman(words(text), "Asia/Tokyo")
		require.NoError(t, err, text)
		require.Equal(t, want[0], a.String(), text)
		require.Equal(t, want[1], a.Text(), text)
	}
	for text, want := range map[string]string{
		"25:00":          `"25:00" is no time of day`,
		"9:30XM":         `is no time of day`,
		"9am Foo":        `"Foo" are no days of the week`,
		"9am Mon-Foo":    `are no days of the week`,
		"9am * Mars":     `time zone "Mars" is unknown`,
		"9am * UTC more": `a time, then days, then a time zone`,
	} {
		_, err := schedule.ParseHuman(words(text), "UTC")
		require.ErrorContains(t, err, want, text)
	}
	require.Equal(t, "cron(*/15 8-18 * * 1-5) (UTC)", autostart(t, "*/15 8-18 * * 1-5").Text())
	require.Empty(t, schedule.Autostart{}.Text())
}

func words(text string) []string { return strings.Fields(text) }

func TestDefaultZone(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Asia/Tokyo", schedule.DefaultZone(func(string) string { return "Asia/Tokyo" }))
	host := schedule.DefaultZone(func(string) string { return "" })
	_, err := schedule.LoadLocation(host)
	require.NoError(t, err)
	require.Equal(t, host, schedule.DefaultZone(func(string) string { return "No/Where" }))
}

func TestWeekdays(t *testing.T) {
	t.Parallel()
	days, err := schedule.ParseWeekdays([]string{"friday", "monday"})
	require.NoError(t, err)
	require.Equal(t, []string{"monday", "friday"}, days.Names())
	none, err := schedule.ParseWeekdays(nil)
	require.NoError(t, err)
	require.Equal(t, []string{}, none.Names())
	for _, bad := range []string{"mon", "", "funday", "*"} {
		_, err = schedule.ParseWeekdays([]string{bad})
		require.ErrorContains(t, err, "is no day of the week")
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	for ms, want := range map[int64]time.Duration{0: 0, 60_000: time.Minute, 119_999: time.Minute, 30 * 24 * 3_600_000: schedule.MaxTTL} {
		ttl, err := schedule.ParseTTL(ms)
		require.NoError(t, err)
		require.Equal(t, want, ttl)
	}
	for _, ms := range []int64{-1, 59_999, 30*24*3_600_000 + 1, 1 << 62, -1 << 63} {
		_, err := schedule.ParseTTL(ms)
		require.Error(t, err)
	}
	for text, want := range map[string]time.Duration{"3h2m": 182 * time.Minute, "3h": 3 * time.Hour, "90": 90 * time.Minute, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour} {
		d, err := schedule.ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, want, d)
	}
	for _, bad := range []string{"", "0", "59s", "-3h", "soon", "d", "-1d"} {
		_, err := schedule.ParseDuration(bad)
		require.Error(t, err, bad)
	}
}

func TestMaxDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		days    []string
		weeks   int
		quiet   string
		started string
		want    string
	}{
		"no days, no requirement":          {nil, 1, "CRON_TZ=UTC 0 0 * * *", "2023-01-04T12:00:00Z", ""},
		"the next such day":                {[]string{"saturday"}, 0, "CRON_TZ=UTC 0 2 * * *", "2023-01-04T12:00:00Z", "2023-01-07T02:00:00Z"},
		"of several days the next":         {[]string{"saturday", "thursday"}, 1, "CRON_TZ=UTC 0 2 * * *", "2023-01-04T12:00:00Z", "2023-01-05T02:00:00Z"},
		"in the owner's zone":              {[]string{"saturday"}, 1, "CRON_TZ=Asia/Tokyo 0 2 * * *", "2023-01-04T12:00:00Z", "2023-01-06T17:00:00Z"},
		"not in the first hour":            {[]string{"saturday"}, 1, "CRON_TZ=UTC 0 2 * * *", "2023-01-07T01:30:00Z", "2023-01-14T02:00:00Z"},
		"the first week counts":            {[]string{"saturday"}, 2, "CRON_TZ=UTC 0 2 * * *", "2023-01-04T12:00:00Z", "2023-01-07T02:00:00Z"},
		"the second does not":              {[]string{"saturday"}, 2, "CRON_TZ=UTC 0 2 * * *", "2023-01-09T00:00:00Z", "2023-01-21T02:00:00Z"},
		"weeks begin on monday":            {[]string{"sunday"}, 2, "CRON_TZ=UTC 0 2 * * *", "2023-01-02T00:00:00Z", "2023-01-08T02:00:00Z"},
		"weeks before the first":           {[]string{"monday"}, 4, "CRON_TZ=UTC 0 2 * * *", "2022-12-01T00:00:00Z", "2022-12-05T02:00:00Z"},
		"sixteen weeks":                    {[]string{"monday"}, 16, "CRON_TZ=UTC 0 2 * * *", "2023-01-02T02:00:00Z", "2023-04-24T02:00:00Z"},
		"a friday that the zone left out":  {[]string{"friday"}, 5, "CRON_TZ=Pacific/Apia 0 0 * * *", "2011-11-25T09:00:01Z", "2011-12-30T10:00:00Z"},
		"quiet hours that the clock skips": {[]string{"sunday"}, 1, "CRON_TZ=America/New_York 30 2 * * *", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			days, err := schedule.ParseWeekdays(c.days)
			require.NoError(t, err)
			quiet, err := schedule.ParseQuietHours(c.quiet)
			require.NoError(t, err)
			got := schedule.Requirement{Days: days, Weeks: c.weeks}.MaxDeadline(at(t, c.started), quiet)
			if c.want == "" {
				require.True(t, got.IsZero())
				return
			}
			require.Equal(t, c.want, got.UTC().Format(time.RFC3339))
		})
	}
	require.NoError(t, schedule.Requirement{Weeks: 16}.Validate())
	require.Error(t, schedule.Requirement{Weeks: 17}.Validate())
	require.Error(t, schedule.Requirement{Weeks: -1}.Validate())
}

func TestMaxDeadlineHoldsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quiet, err := schedule.ParseQuietHours(fmt.Sprintf("CRON_TZ=%s %d %d * * *", rapid.SampledFrom(zones()).Draw(t, "zone"),
			rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 23).Draw(t, "hour")))
		require.NoError(t, err)
		r := schedule.Requirement{Days: schedule.Weekdays(rapid.IntRange(1, 127).Draw(t, "days")), Weeks: rapid.IntRange(0, 16).Draw(t, "weeks")}
		started := drawTime(t, "started")
		deadline := r.MaxDeadline(started, quiet)
		require.False(t, deadline.IsZero(), "a requirement is always met")
		require.GreaterOrEqual(t, deadline.Sub(started), time.Hour)
		require.LessOrEqual(t, deadline.Sub(started), time.Duration(max(1, r.Weeks)+2)*7*24*time.Hour)
		later := started.Add(time.Duration(rapid.Int64Range(0, int64(deadline.Sub(started)-time.Hour)).Draw(t, "later")))
		require.True(t, deadline.Equal(r.MaxDeadline(later, quiet)), "a restart before it does not move it")

		ttl := time.Duration(rapid.IntRange(0, 43_200).Draw(t, "ttl")) * time.Minute
		stop := schedule.Deadline(started, ttl, deadline)
		require.False(t, stop.After(deadline))
		require.False(t, stop.Before(started))
	})
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	q, err := schedule.ParseQuietHours("CRON_TZ=Europe/Dublin 30 2 * * *")
	require.NoError(t, err)
	require.Equal(t, "CRON_TZ=Europe/Dublin 30 2 * * *", q.String())
	require.Equal(t, "02:30", q.Clock())
	require.Equal(t, "2026-07-02T01:30:00Z", q.Next(at(t, "2026-07-01T01:30:00Z")).UTC().Format(time.RFC3339))
	for _, bad := range []string{"", "0 0 * * 1", "*/5 0 * * *", "0 1,2 * * *"} {
		_, err := schedule.ParseQuietHours(bad)
		require.ErrorContains(t, err, "one time every day")
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-07-01T00:00:00Z")
	require.Equal(t, now.Add(time.Hour), schedule.Deadline(now, time.Hour, time.Time{}))
	require.Equal(t, now.Add(time.Minute), schedule.Deadline(now, time.Hour, now.Add(time.Minute)))
	require.Equal(t, now.Add(time.Minute), schedule.Deadline(now, 0, now.Add(time.Minute)))
	require.True(t, schedule.Deadline(now, 0, time.Time{}).IsZero())
}

func TestExtend(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-07-01T00:00:00Z")
	running := schedule.Running{Started: true, CompletedAt: now.Add(-time.Hour), Deadline: now.Add(time.Hour), MaxDeadline: now.Add(5 * time.Hour)}
	require.NoError(t, schedule.Extend(now, running, now.Add(5*time.Hour)))
	require.NoError(t, schedule.Extend(now, running, now.Add(30*time.Minute)), "a deadline may come nearer")
	require.ErrorContains(t, schedule.Extend(now, running, now.Add(29*time.Minute)), "at least 30 minutes")
	require.ErrorContains(t, schedule.Extend(now, running, now.Add(6*time.Hour)), "stop at 2026-07-01T05:00:00Z")

	jumped := running
	jumped.CompletedAt = now.Add(2 * time.Hour)
	require.ErrorContains(t, schedule.Extend(now, jumped, now.Add(time.Hour)), "before the workspace started")

	endless, stopped := running, running
	endless.Deadline = time.Time{}
	stopped.Started = false
	require.ErrorIs(t, schedule.Extend(now, endless, now.Add(time.Hour)), schedule.ErrNoDeadline)
	require.ErrorIs(t, schedule.Extend(now, stopped, now.Add(time.Hour)), schedule.ErrNoDeadline)
}

func TestBump(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-07-01T00:00:00Z")
	running := schedule.Running{Started: true, Deadline: now.Add(30 * time.Minute)}
	for name, c := range map[string]struct {
		change   func(*schedule.Running)
		activity time.Duration
		want     time.Duration
		moved    bool
	}{
		"less is left":                {nil, time.Hour, time.Hour, true},
		"more is left":                {nil, time.Minute, 30 * time.Minute, false},
		"not beyond the requirement":  {func(r *schedule.Running) { r.MaxDeadline = now.Add(40 * time.Minute) }, time.Hour, 40 * time.Minute, true},
		"never back":                  {func(r *schedule.Running) { r.MaxDeadline = now.Add(10 * time.Minute) }, time.Hour, 30 * time.Minute, false},
		"switched off":                {nil, 0, 30 * time.Minute, false},
		"not of a workspace that ran": {func(r *schedule.Running) { r.Started = false }, time.Hour, 30 * time.Minute, false},
	} {
		r := running
		if c.change != nil {
			c.change(&r)
		}
		got, moved := schedule.Bump(now, r, c.activity)
		require.Equal(t, c.moved, moved, name)
		require.Equal(t, now.Add(c.want), got, name)
	}
}

func TestAfter(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-07-01T00:00:00Z")
	require.Equal(t, now.Add(time.Hour), schedule.After(now, time.Hour))
	require.True(t, schedule.After(now, 0).IsZero())
	require.True(t, schedule.After(time.Time{}, time.Hour).IsZero())
}

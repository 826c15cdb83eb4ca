// Package schedule computes when workspaces start, stop, fall dormant and are
// deleted. Everything here is a function of its arguments: the same settings
// and the same now give the same answer after a restart or a clock jump.
package schedule

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // images without a zone database, such as FROM scratch

	"github.com/netresearch/go-cron"
)

// Autostart is when a workspace starts by itself: times of day, on days of the
// week, in one time zone. The zero value is never.
type Autostart struct {
	fields   string // as written: minute hour * * days
	minutes  uint64 // bit n: minute n
	hours    uint64
	days     Weekdays
	location *time.Location
}

// ParseAutostart reads an autostart schedule of the API: five cron fields of
// which day of month and month are *, after an optional CRON_TZ=Zone. Without
// one it means UTC. Empty text is the zero Autostart.
func ParseAutostart(text string) (Autostart, error) {
	zone, fields, err := splitZone(text)
	if err != nil || fields == "" {
		return Autostart{}, err
	}
	location, err := LoadLocation(zone)
	if err != nil {
		return Autostart{}, err
	}
	parts := strings.Fields(fields)
	if len(parts) != 5 {
		return Autostart{}, fmt.Errorf("schedule %q has %d fields; it needs five: minute hour * * day-of-week", text, len(parts))
	}
	if parts[2] != "*" || parts[3] != "*" {
		return Autostart{}, fmt.Errorf("schedule %q: day of month and month must be *; choose days of the week instead", text)
	}
	if i := strings.IndexFunc(fields, notCron); i >= 0 {
		return Autostart{}, fmt.Errorf("schedule %q: %q is not understood; use numbers, names of days and * / , -", text, fields[i:i+1])
	}
	fields = strings.Join(parts, " ")
	parsed, err := parser().Parse(fields)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Autostart{}, fmt.Errorf("schedule %q is no cron schedule: %w", text, err)
	}
	a := Autostart{fields: fields, minutes: spec.Minute & (1<<60 - 1), hours: spec.Hour & (1<<24 - 1), days: Weekdays(spec.Dow) & EveryDay, location: location}
	if spec.Dow&(1<<7) != 0 {
		a.days |= 1 << time.Sunday
	}
	if len(spec.DowConstraints) > 0 || a.minutes == 0 || a.hours == 0 || a.days == 0 {
		return Autostart{}, fmt.Errorf("schedule %q names no time", text)
	}
	return a, nil
}

func parser() cron.Parser {
	return cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
}

func splitZone(text string) (zone, fields string, err error) {
	fields = strings.TrimSpace(text)
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if after, ok := strings.CutPrefix(fields, prefix); ok {
			zone, fields, ok = strings.Cut(after, " ")
			if !ok || zone == "" {
				return "", "", fmt.Errorf("schedule %q: after %s comes a time zone, then five fields", text, prefix)
			}
			return zone, strings.TrimSpace(fields), nil
		}
	}
	return "UTC", fields, nil
}

func notCron(r rune) bool {
	return !strings.ContainsRune(" \t*/,-0123456789", r) && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// LoadLocation finds an IANA time zone by its name. Local is refused: it is
// another zone on every host.
func LoadLocation(name string) (*time.Location, error) {
	location, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("time zone %q is unknown; use a name such as Europe/Dublin or UTC", name)
	}
	return location, nil
}

// IsZero tells whether nothing is scheduled.
func (a Autostart) IsZero() bool { return a.location == nil }

// String is the schedule as the API carries it; empty for the zero value.
func (a Autostart) String() string {
	if a.IsZero() {
		return ""
	}
	return "CRON_TZ=" + a.location.String() + " " + a.fields
}

// Days are the days of the week in the schedule's zone.
func (a Autostart) Days() Weekdays { return a.days }

// Location is the schedule's zone, nil for the zero value.
func (a Autostart) Location() *time.Location { return a.location }

// Next is the first start after a moment, on the days that the template
// allows; false where there is none. In place of a time that a clock change
// skips comes the moment of the change; one that comes twice counts once.
func (a Autostart) Next(after time.Time, allowed Weekdays) (time.Time, bool) {
	if a.days&allowed == 0 {
		return time.Time{}, false
	}
	local := after.In(a.location)
	// From the day before: a time that was moved may belong to it. To a week
	// and a day on: today's time may be over, and its day next week.
	for offset := -1; offset <= 8; offset++ {
		date := calendarDay(local, offset)
		if !(a.days & allowed).Has(date.Weekday()) {
			continue
		}
		if next, ok := a.firstOn(date, after); ok {
			return next, true
		}
	}
	return time.Time{}, false
}

// firstOn is the first time of a date that is after a moment.
func (a Autostart) firstOn(date, after time.Time) (first time.Time, found bool) {
	for hour := range 24 {
		if a.hours&(1<<hour) == 0 {
			continue
		}
		for minute := range 60 {
			if a.minutes&(1<<minute) == 0 {
				continue
			}
			t := onClock(date, hour, minute, a.location)
			if t.After(after) && (!found || t.Before(first)) {
				first, found = t, true
			}
		}
	}
	return first, found
}

// calendarDay is the date that a clock's zone shows at a moment, some days on,
// as midnight in UTC: there every date exists. Zones have left out whole days.
func calendarDay(moment time.Time, offset int) time.Time {
	return time.Date(moment.Year(), moment.Month(), moment.Day()+offset, 0, 0, 0, 0, time.UTC)
}

// onClock is the moment of a date at which a zone's clocks show a time of day.
// Where they never do, because they are put forward over it, it is that moment.
func onClock(date time.Time, hour, minute int, zone *time.Location) time.Time {
	t := time.Date(date.Year(), date.Month(), date.Day(), hour, minute, 0, 0, zone)
	shown, wanted := minuteOf(t), minuteOf(time.Date(date.Year(), date.Month(), date.Day(), hour, minute, 0, 0, time.UTC))
	if shown == wanted {
		return t
	}
	before, after := t.ZoneBounds()
	if shown < wanted {
		return after
	}
	return before
}

// minuteOf numbers what a clock and a calendar show, whatever their zone.
func minuteOf(t time.Time) int64 {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC).Unix() / 60
}

// Text is the schedule for people: 9:30AM Mon-Fri (Europe/Dublin). Schedules
// of several times a day keep their cron fields.
func (a Autostart) Text() string {
	if a.IsZero() {
		return ""
	}
	hour, oneHour := single(a.hours)
	minute, oneMinute := single(a.minutes)
	if !oneHour || !oneMinute {
		return fmt.Sprintf("cron(%s) (%s)", a.fields, a.location)
	}
	return fmt.Sprintf("%s %s (%s)", kitchen(hour, minute), a.daysText(), a.location)
}

func (a Autostart) daysText() string {
	if a.days == EveryDay {
		return "daily"
	}
	return a.days.format(1, func(d time.Weekday) string { return d.String()[:3] })
}

func kitchen(hour, minute int) string {
	return time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC).Format(time.Kitchen)
}

func single(bits uint64) (int, bool) {
	for n := range 60 {
		if bits == 1<<n {
			return n, true
		}
	}
	return 0, false
}

// ParseHuman reads what people type: a time of day of 12 or 24 hours (9:30AM,
// 9am, 17:00), then days (Mon-Fri, default every day), then a zone (default
// zone). Without days, the second word may be the zone.
func ParseHuman(words []string, zone string) (Autostart, error) {
	days := "*"
	switch len(words) {
	case 1:
	case 2:
		if _, err := LoadLocation(words[1]); err == nil {
			zone = words[1]
		} else {
			days = words[1]
		}
	case 3:
		days, zone = words[1], words[2]
	default:
		return Autostart{}, fmt.Errorf("a schedule is a time, then days, then a time zone, such as 9:30AM Mon-Fri Europe/Dublin")
	}
	hour, minute, err := parseClock(words[0])
	if err != nil {
		return Autostart{}, err
	}
	set, err := parseDays(days)
	if err != nil {
		return Autostart{}, err
	}
	if _, err := LoadLocation(zone); err != nil {
		return Autostart{}, err
	}
	cronDays := set.format(0, func(d time.Weekday) string { return strconv.Itoa(int(d)) })
	return ParseAutostart(fmt.Sprintf("CRON_TZ=%s %d %d * * %s", zone, minute, hour, cronDays))
}

func parseClock(text string) (hour, minute int, err error) {
	upper := strings.ToUpper(text)
	for _, layout := range []string{"3:04PM", "3PM", "15:04"} {
		if t, err := time.Parse(layout, upper); err == nil {
			return t.Hour(), t.Minute(), nil
		}
	}
	return 0, 0, fmt.Errorf("%q is no time of day; use forms like 9:30AM, 9am or 17:00", text)
}

// DefaultZone is the zone of a person who names none: TZ, else the host's,
// else UTC.
func DefaultZone(getenv func(string) string) string {
	if zone := strings.TrimPrefix(getenv("TZ"), ":"); zone != "" {
		if _, err := LoadLocation(zone); err == nil {
			return zone
		}
	}
	if target, err := os.Readlink("/etc/localtime"); err == nil {
		if _, zone, ok := strings.Cut(target, "zoneinfo/"); ok {
			if _, err := LoadLocation(zone); err == nil {
				return zone
			}
		}
	}
	return "UTC"
}

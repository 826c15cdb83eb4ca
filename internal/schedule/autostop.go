package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a workspace's time to live.
const (
	MinTTL = time.Minute
	MaxTTL = 30 * 24 * time.Hour
)

// MinExtension is how far ahead a deadline that a person sets must be.
const MinExtension = 30 * time.Minute

// MaxWeeks is the largest period of an autostop requirement.
const MaxWeeks = 16

// requirementLeeway: a workspace started less than this before it would have
// to stop runs until the next time.
const requirementLeeway = time.Hour

// ParseTTL reads a time to live of the API in milliseconds. Parts of a minute
// are cut off; 0 means that the workspace is stopped by hand.
func ParseTTL(ms int64) (time.Duration, error) {
	if ms == 0 {
		return 0, nil
	}
	if ms > MaxTTL.Milliseconds() {
		return 0, errors.New("the time to live may be at most 30 days (720h)")
	}
	ttl := (time.Duration(ms) * time.Millisecond).Truncate(time.Minute)
	if ms < 0 || ttl < MinTTL {
		return 0, errors.New("the time to live must be at least 1 minute, or 0 to stop by hand")
	}
	return ttl, nil
}

// ParseDuration reads a duration that a person types: 3h2m, 3h, 2m, 2d12h, or
// a bare number of minutes. Less than a minute is refused.
func ParseDuration(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration; use forms like 3h2m, 45m, or 90 for minutes", text)
	}
	if d < time.Minute {
		return 0, fmt.Errorf("%q is less than a minute", text)
	}
	return d, nil
}

func parseDuration(text string) (time.Duration, error) {
	if minutes, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(minutes) * time.Minute, nil
	}
	var days time.Duration
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, err
		}
		days = time.Duration(n) * 24 * time.Hour
		if text = after; text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	return days + d, err
}

// QuietHours is the time of day, in one zone, at which a person's workspaces
// may be stopped because their template requires it.
type QuietHours struct {
	hour, minute int
	location     *time.Location
}

// ParseQuietHours reads a daily cron schedule of one time, such as
// CRON_TZ=Europe/Dublin 0 2 * * *.
func ParseQuietHours(text string) (QuietHours, error) {
	a, err := ParseAutostart(text)
	if err != nil {
		return QuietHours{}, err
	}
	hour, oneHour := single(a.hours)
	minute, oneMinute := single(a.minutes)
	if a.IsZero() || !oneHour || !oneMinute || a.days != EveryDay {
		return QuietHours{}, fmt.Errorf("quiet hours %q must be one time every day, such as CRON_TZ=UTC 0 0 * * *", text)
	}
	return QuietHours{hour, minute, a.location}, nil
}

// String is the cron schedule.
func (q QuietHours) String() string {
	return fmt.Sprintf("CRON_TZ=%s %d %d * * *", q.location, q.minute, q.hour)
}

// Clock is the time of day as HH:MM.
func (q QuietHours) Clock() string { return fmt.Sprintf("%02d:%02d", q.hour, q.minute) }

// Location is the zone of the time of day.
func (q QuietHours) Location() *time.Location { return q.location }

// Next is when they begin next after a moment.
func (q QuietHours) Next(after time.Time) time.Time {
	local := after.In(q.location)
	for offset := -1; ; offset++ {
		if t := q.on(local, offset); t.After(after) {
			return t
		}
	}
}

func (q QuietHours) on(day time.Time, offset int) time.Time {
	return onClock(calendarDay(day, offset), q.hour, q.minute, q.location)
}

// Requirement is a template's autostop requirement: workspaces must stop in
// their owners' quiet hours on these days, every n-th week. Weeks 0 and 1 are
// every week. No days are no requirement.
type Requirement struct {
	Days  Weekdays
	Weeks int
}

// Validate checks the weeks.
func (r Requirement) Validate() error {
	if r.Weeks < 0 || r.Weeks > MaxWeeks {
		return fmt.Errorf("autostop requirement: weeks is %d; it must be between 0 and %d", r.Weeks, MaxWeeks)
	}
	return nil
}

// MaxDeadline is when a workspace that started at a moment must stop; the zero
// time where nothing is required. Weeks are counted from Monday, 2 January
// 2023, in the zone of the quiet hours.
func (r Requirement) MaxDeadline(started time.Time, quiet QuietHours) time.Time {
	if r.Days == 0 {
		return time.Time{}
	}
	weeks := max(1, r.Weeks)
	earliest := started.Add(requirementLeeway)
	local := started.In(quiet.location)
	for offset := -1; offset <= 7*(weeks+1); offset++ {
		t, date := quiet.on(local, offset), calendarDay(local, offset)
		if r.Days.Has(date.Weekday()) && week(date)%weeks == 0 && !t.Before(earliest) {
			return t
		}
	}
	return time.Time{}
}

// week numbers the week of a calendar day, from 0.
func week(date time.Time) int {
	first := time.Date(2023, time.January, 2, 0, 0, 0, 0, time.UTC)
	days := int(date.Sub(first) / (24 * time.Hour))
	if days < 0 {
		days -= 6 // round down
	}
	return days / 7
}

// Deadline is when a build that completed at a moment stops its workspace:
// after the time to live, but not beyond maxDeadline. Zero times are never.
func Deadline(completed time.Time, ttl time.Duration, maxDeadline time.Time) time.Time {
	if ttl == 0 {
		return maxDeadline
	}
	return capped(completed.Add(ttl), maxDeadline)
}

func capped(t, limit time.Time) time.Time {
	if !limit.IsZero() && t.After(limit) {
		return limit
	}
	return t
}

// Running is what decides over the deadline of a workspace's newest build.
type Running struct {
	// Started is whether the newest build is a start that succeeded.
	Started     bool
	CompletedAt time.Time
	Deadline    time.Time // zero: none
	MaxDeadline time.Time // zero: none
}

// ErrNoDeadline is the reason why there is nothing to extend: a conflict with
// the workspace's state, where every other error of Extend is about the request.
var ErrNoDeadline = errors.New("the workspace has no deadline to move; start it, and give it a time to live with coder schedule stop")

// Extend checks a deadline that a person asks for.
func Extend(now time.Time, r Running, wanted time.Time) error {
	switch {
	case !r.Started || r.Deadline.IsZero():
		return ErrNoDeadline
	case wanted.Before(now.Add(MinExtension)):
		return errors.New("the new deadline must be at least 30 minutes from now")
	case wanted.Before(r.CompletedAt):
		return errors.New("the new deadline is before the workspace started")
	case !r.MaxDeadline.IsZero() && wanted.After(r.MaxDeadline):
		return fmt.Errorf("the template requires the workspace to stop at %s; the new deadline must not be later", r.MaxDeadline.UTC().Format(time.RFC3339))
	}
	return nil
}

// Bump is the deadline after somebody used the workspace: activity from now,
// unless more is left; false where nothing changes.
func Bump(now time.Time, r Running, activity time.Duration) (time.Time, bool) {
	if !r.Started || r.Deadline.IsZero() || activity <= 0 {
		return r.Deadline, false
	}
	bumped := capped(now.Add(activity), r.MaxDeadline)
	if !bumped.After(r.Deadline) {
		return r.Deadline, false
	}
	return bumped, true
}

// After is a moment plus a limit of the template, and the zero time where
// either is zero: when a workspace falls dormant (last use + dormancy), is
// deleted (dormant since + auto-deletion), or what a failed build left is
// cleaned up (completed + failure TTL).
func After(since time.Time, limit time.Duration) time.Time {
	if since.IsZero() || limit <= 0 {
		return time.Time{}
	}
	return since.Add(limit)
}

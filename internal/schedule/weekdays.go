package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Weekdays is a set of days of the week.
type Weekdays uint8

// EveryDay holds all seven.
const EveryDay Weekdays = 1<<7 - 1

// Has tells whether the day is in the set.
func (w Weekdays) Has(day time.Weekday) bool { return w&(1<<day) != 0 }

// ParseWeekdays reads the names of the API, monday to sunday. An empty list
// is the empty set, which each setting reads in its own way.
func ParseWeekdays(names []string) (Weekdays, error) {
	var days Weekdays
	for _, name := range names {
		day, ok := weekday(name)
		if !ok || len(name) < 4 {
			return 0, fmt.Errorf("%q is no day of the week; use monday, tuesday, wednesday, thursday, friday, saturday or sunday", name)
		}
		days |= 1 << day
	}
	return days, nil
}

// Names are the names of the API, from monday to sunday; never nil.
func (w Weekdays) Names() []string {
	names := []string{}
	for i := range 7 {
		if day := time.Weekday((i + 1) % 7); w.Has(day) {
			names = append(names, strings.ToLower(day.String()))
		}
	}
	return names
}

// weekday reads mon, Monday and the like.
func weekday(text string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		name := strings.ToLower(day.String())
		if lower := strings.ToLower(text); lower == name || lower == name[:3] {
			return day, true
		}
	}
	return 0, false
}

// parseDays reads days as cron has them, with names of any case: *, Mon-Fri,
// sat,sun, 1-5. A range may go over the end of the week.
func parseDays(text string) (Weekdays, error) {
	if text == "*" {
		return EveryDay, nil
	}
	var days Weekdays
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, ok := cronDay(first)
		to := from
		if ok && isRange {
			to, ok = cronDay(last)
		}
		if !ok {
			return 0, fmt.Errorf("%q are no days of the week; use forms like Mon-Fri, Sat,Sun or *", text)
		}
		for day := from; ; day = (day + 1) % 7 {
			days |= 1 << day
			if day == to {
				break
			}
		}
	}
	return days, nil
}

func cronDay(text string) (time.Weekday, bool) {
	if len(text) == 1 && text[0] >= '0' && text[0] <= '7' {
		return time.Weekday(text[0]-'0') % 7, true
	}
	return weekday(text)
}

// format writes the set with day's names for single days: *, 1-5 or Mon-Fri.
// The week of a reader begins on Monday, that of cron on Sunday.
func (w Weekdays) format(monday int, name func(time.Weekday) string) string {
	if w == EveryDay {
		return "*"
	}
	var parts []string
	for i := 0; i < 7; i++ {
		at := func(i int) time.Weekday { return time.Weekday((i + monday) % 7) }
		if !w.Has(at(i)) {
			continue
		}
		last := i
		for last < 6 && w.Has(at(last+1)) {
			last++
		}
		switch last - i {
		case 0:
			parts = append(parts, name(at(i)))
		case 1:
			parts = append(parts, name(at(i)), name(at(last)))
		default:
			parts = append(parts, name(at(i))+"-"+name(at(last)))
		}
		i = last
	}
	return strings.Join(parts, ",")
}

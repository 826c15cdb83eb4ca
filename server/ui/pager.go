package ui

import (
	"net/url"
	"strconv"
)

// pager leads through a list that is longer than a page.
type pager struct {
	From, To, Count int
	Previous, Next  string
}

// More tells whether there is anything to lead to.
func (p pager) More() bool { return p.Previous != "" || p.Next != "" }

// offset is where in a list the page begins.
func (v *visit) offset() int {
	n, err := strconv.Atoi(v.query("offset"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// pager describes a page of rows out of count, from offset on.
func (v *visit) pager(offset, rows, count int) pager {
	p := pager{From: min(offset+1, count), To: min(offset+rows, count), Count: count}
	if offset > 0 {
		p.Previous = v.at(max(0, offset-listed))
	}
	if offset+rows < count && rows > 0 {
		p.Next = v.at(offset + rows)
	}
	return p
}

// at is this page's address with another offset.
func (v *visit) at(offset int) string {
	q := v.r.URL.Query()
	q.Set("offset", strconv.Itoa(offset))
	here, err := url.Parse(v.here())
	if err != nil {
		return "?" + q.Encode()
	}
	return here.Path + "?" + q.Encode()
}

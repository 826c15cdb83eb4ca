package client

import (
	"net/url"
	"strconv"

	"github.com/google/uuid"
)

// Page asks for a part of a list; zero values ask for all of it.
type Page struct {
	Limit   int
	Offset  int
	AfterID uuid.UUID
}

func (p Page) values(q url.Values) url.Values {
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Offset > 0 {
		q.Set("offset", strconv.Itoa(p.Offset))
	}
	if p.AfterID != uuid.Nil {
		q.Set("after_id", p.AfterID.String())
	}
	return q
}

// MessageResponse is the reply of calls that have only a sentence to say.
type MessageResponse struct {
	Message string `json:"message"`
	Detail  string `json:"detail,omitempty"`
}

package client

import (
	"context"
	"net/url"
)

// ProvisionerDemand is what an autoscaler of daemons needs to know.
type ProvisionerDemand struct {
	Tags map[string]string `json:"tags"`
	// Wanted is Pending and Running: with so many daemons nobody waits.
	Wanted  int `json:"wanted"`
	Pending int `json:"pending" doc:"Jobs that wait and that such a daemon can take"`
	Running int `json:"running" doc:"Jobs that run and that such a daemon could have taken"`
	Online  int `json:"online" doc:"Daemons with exactly these tags that were seen lately"`
	// OldestWaitSeconds is how long the oldest of Pending has waited.
	OldestWaitSeconds int64 `json:"oldest_wait_seconds"`
}

// ProvisionerDemand tells how many daemons with these tags are wanted in an
// organization; no tags are those of untagged daemons.
func (c *Client) ProvisionerDemand(ctx context.Context, organization string, tags map[string]string) (ProvisionerDemand, error) {
	q := url.Values{}
	setTags(q, tags)
	return get[ProvisionerDemand](ctx, c, withQuery(apiPath("organizations", organization, "provisionerdaemons", "demand"), q))
}

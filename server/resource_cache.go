package server

import (
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"coder/client"
)

// Bounds of what is kept of jobs' resources: those of so many jobs, and of
// none that has more bytes of metadata and agents than that.
const (
	cachedJobs     = 1024
	maxCachedBytes = 16 << 10
)

// resourceCache keeps the resources of jobs as they are shown. A job gets all
// of them in the transaction that ends it, and nothing changes them after
// that; so what is found here once stays true, on every replica. What agents
// report one day is not of that kind, and must be read beside it. Opening and
// converting resources is a large part of a list of workspaces.
type resourceCache struct {
	jobs *lru.Cache[uuid.UUID, []client.WorkspaceResource]
}

func newResourceCache() *resourceCache {
	jobs, err := lru.New[uuid.UUID, []client.WorkspaceResource](cachedJobs)
	if err != nil {
		panic(err) // only a size of 0 is refused
	}
	return &resourceCache{jobs}
}

// get finds the resources of jobs, and which jobs must be read. A job that is
// missing has an empty list.
func (c *resourceCache) get(jobIDs []uuid.UUID) (found map[uuid.UUID][]client.WorkspaceResource, missing []uuid.UUID) {
	found = make(map[uuid.UUID][]client.WorkspaceResource, len(jobIDs))
	for _, id := range jobIDs {
		resources, ok := c.jobs.Get(id)
		if !ok {
			resources, missing = []client.WorkspaceResource{}, append(missing, id)
		}
		found[id] = resources
	}
	return found, missing
}

// put keeps resources that were read, none of which may be changed any more.
func (c *resourceCache) put(jobID uuid.UUID, resources []client.WorkspaceResource, bytes int) {
	if bytes <= maxCachedBytes {
		c.jobs.Add(jobID, resources)
	}
}

// forget drops everything, where an organization's secrets must be gone. Other
// replicas keep theirs, which nobody can ask for, until newer ones replace them.
func (c *resourceCache) forget() { c.jobs.Purge() }

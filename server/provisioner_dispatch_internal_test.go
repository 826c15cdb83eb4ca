package server

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
)

// Who was woken for a job that it may not have hands the wake-up on.
func TestAWakeUpIsPassedOn(t *testing.T) {
	t.Parallel()
	d, tags, organization := newDispatcher(), store.StringMap{"env": "prod"}, uuid.New()
	first := d.wait(store.ProvisionerDaemon{ID: uuid.New(), OrganizationID: organization, Tags: tags})
	other := d.wait(store.ProvisionerDaemon{ID: uuid.New(), OrganizationID: organization, Tags: store.StringMap{"env": "test"}})
	second := d.wait(store.ProvisionerDaemon{ID: uuid.New(), OrganizationID: organization, Tags: tags})
	d.post(organization, tags)
	require.Len(t, first.wake, 1)
	d.pass(first, <-first.wake)
	require.Len(t, second.wake, 1)
	require.Empty(t, other.wake)
	require.Empty(t, first.wake)

	// One that was not woken takes nothing along.
	<-second.wake
	d.pass(second, nil)
	require.Empty(t, other.wake)
	d.post(organization, tags)
	require.Empty(t, second.wake, "it is out of the line")
}

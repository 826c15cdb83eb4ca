package server

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// cachedSubjects is of how many users it is kept what they are in.
const cachedSubjects = 512

// stamps are what a session's row told of the moment that it was read: the
// database draws another one with each change (store/migrations, 00010), so
// what was made of the same stamps is made of the same rows, at every replica.
type stamps struct{ memberships, organizations string }

// standing is what follows from a user's memberships and roles. It is shared,
// so nobody changes it.
type standing struct {
	stamps      stamps
	roles       []string
	memberships []store.ListMembershipsAndGroupsOfUserRow
	subject     *authz.Subject
}

// subjectCache keeps the standing of those who ask, and the organizations, as
// long as their stamps are those of the database. A stamp is read before what
// is kept under it, so what changes in between only makes it be read again.
type subjectCache struct {
	users         *lru.Cache[uuid.UUID, *standing]
	organizations atomic.Pointer[stampedOrganizations]
}

type stampedOrganizations struct {
	stamp string
	rows  []store.Organization
}

func newSubjectCache() *subjectCache {
	users, err := lru.New[uuid.UUID, *standing](cachedSubjects)
	if err != nil {
		panic(err) // only a size of 0 is refused
	}
	return &subjectCache{users: users}
}

// standing is a user's, with the roles of this moment.
func (a *api) standing(ctx context.Context, user store.User, now stamps) (*standing, error) {
	if s, ok := a.subjects.users.Get(user.ID); ok && s.stamps == now && s.subject.Name == user.Username && slices.Equal(s.roles, user.Roles) {
		return s, nil
	}
	s, err := a.newStanding(ctx, user)
	if err != nil {
		return nil, err
	}
	s.stamps, s.roles = now, slices.Clone(user.Roles)
	s.subject.Settle()
	a.subjects.users.Add(user.ID, s)
	return s, nil
}

func (a *api) newStanding(ctx context.Context, user store.User) (*standing, error) {
	rows, err := a.store.ListMembershipsAndGroupsOfUser(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	subject, err := a.subjectOf(ctx, user, rows)
	return &standing{memberships: rows, subject: subject}, err
}

// organizations are all of the deployment, by name, as they were when the
// request was let in; who may see which is for the caller to ask. They are
// shared, so nobody changes them, and have no keys.
func (a *api) organizations(ctx context.Context) ([]store.Organization, error) {
	stamp := requestFrom(ctx).organizationsStamp()
	if rows := a.subjects.organizationsAt(stamp); rows != nil {
		return rows, nil
	}
	rows, err := a.store.ListOrganizations(ctx)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].SealingKey = nil // which ends with its organization, here too
	}
	if stamp != "" {
		a.subjects.organizations.Store(&stampedOrganizations{stamp, rows})
	}
	return rows, nil
}

// organizationsAt are those of a stamp; nil where they are not kept.
func (c *subjectCache) organizationsAt(stamp string) []store.Organization {
	if kept := c.organizations.Load(); kept != nil && stamp != "" && kept.stamp == stamp {
		return kept.rows
	}
	return nil
}

// organization finds the one that ref names, where all are kept. What is not
// among them is not there: asking the database for it would take longer than
// for one that is only hidden, which would tell them apart.
func (c *subjectCache) organization(stamp, ref string) (org store.Organization, kept bool, err error) {
	rows := c.organizationsAt(stamp)
	if rows == nil {
		return store.Organization{}, false, nil
	}
	id, err := uuid.Parse(ref)
	at := slices.IndexFunc(rows, func(o store.Organization) bool {
		switch {
		case ref == client.DefaultOrganization || (err == nil && id == uuid.Nil):
			return o.IsDefault
		case err == nil:
			return o.ID == id
		}
		return strings.EqualFold(o.Name, ref)
	})
	if at < 0 {
		return store.Organization{}, true, sql.ErrNoRows
	}
	return rows[at], true, nil
}

package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

type createProvisionerKeyInput struct {
	OrganizationPath
	Body client.CreateProvisionerKeyRequest
}

type ProvisionerKeyPath struct {
	OrganizationPath
	Name string `path:"name"`
}

type presentedKeyInput struct {
	Ignored string `path:"anything" doc:"Not used: the key is the one in the header"`
	Key     string `header:"Coder-Provisioner-Daemon-Key"`
	PSK     string `header:"Coder-Provisioner-Daemon-PSK"`
}

func (a *api) createProvisionerKey(ctx context.Context, in *createProvisionerKeyInput) (*output[client.CreateProvisionerKeyResponse], error) {
	name := strings.ToLower(in.Body.Name)
	if err := checkProvisionerKey(name, in.Body.Tags); err != nil {
		return nil, err
	}
	allowed, err := checkNetworks(in.Body.AllowList)
	if err != nil {
		return nil, err
	}
	expires, err := a.checkKeyExpiry(in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	secret := newSecret(client.ProvisionerKeyLength)
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		key, err := tx.InsertProvisionerKey(ctx, store.InsertProvisionerKeyParams{
			ID: uuid.New(), OrganizationID: organizationFrom(ctx).ID, Name: name, Tags: in.Body.Tags, AllowList: allowed, CreatedAt: store.At(a.now()), ExpiresAt: expires,
		})
		if err != nil {
			return err
		}
		if err := a.withStore(tx).addProvisionerKeySecret(ctx, key, secretOfKey, secret, store.Time{}); err != nil {
			return err
		}
		return a.audit(ctx, tx, provisionerKeyChanged(organizationFrom(ctx), client.AuditCreate, nil, &key))
	})
	if store.IsConflict(err) {
		return nil, taken("Provisioner key", name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("create provisioner key: %w", err)
	}
	return reply(client.CreateProvisionerKeyResponse{Key: secret}), nil
}

func checkProvisionerKey(name string, tags map[string]string) error {
	if reservedKeyID(name) != uuid.Nil {
		return invalid("name", "The name %q is reserved; choose another one.", name)
	}
	if err := checkName("name", client.NameProvisionerKey, name); err != nil {
		return err
	}
	if tags[client.TagScope] == scopeTagUser || tags[client.TagOwner] != "" {
		return invalid("tags", "Daemons with a key serve the whole organization; leave the tags scope and owner out.")
	}
	return checkTags(tags)
}

// reservedKeyID is zero for names that are not reserved.
func reservedKeyID(name string) uuid.UUID {
	for _, key := range reservedKeys() {
		if strings.EqualFold(key.Name, name) {
			return key.ID
		}
	}
	return uuid.Nil
}

// reservedKeys stand for the ways to join without a key of one's own.
func reservedKeys() []client.ProvisionerKey {
	return []client.ProvisionerKey{
		{ID: client.ProvisionerKeyBuiltInID, Name: client.ProvisionerKeyBuiltIn},
		{ID: client.ProvisionerKeyUserAuthID, Name: client.ProvisionerKeyUserAuth},
		{ID: client.ProvisionerKeyPSKID, Name: client.ProvisionerKeyPSK},
	}
}

func (a *api) listProvisionerKeys(ctx context.Context, _ *OrganizationPath) (*output[[]client.ProvisionerKey], error) {
	keys, err := a.provisionerKeys(ctx, organizationFrom(ctx).ID)
	if err != nil {
		return nil, err
	}
	return reply(keys), nil
}

func (a *api) provisionerKeys(ctx context.Context, organizationID uuid.UUID) ([]client.ProvisionerKey, error) {
	rows, err := a.store.ListProvisionerKeys(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	secrets, err := a.store.ListProvisionerKeySecrets(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	whole := mayChangeKeys(subjectFrom(ctx), organizationID)
	out := make([]client.ProvisionerKey, len(rows))
	for i, row := range rows {
		out[i] = a.provisionerKeyResponse(row, secrets)
		if !whole {
			out[i].AllowList, out[i].LastUsedAt, out[i].PreviousExpiresAt, out[i].SecretID = nil, nil, nil, nil
		}
	}
	return out, nil
}

// mayChangeKeys: where a key is good from, and when it was used, tells who has
// found one how to use it. Every member reads the list; these read all of it.
func mayChangeKeys(subject *authz.Subject, organizationID uuid.UUID) bool {
	keys := authz.Object{Type: authz.ProvisionerDaemon, OrganizationID: organizationID}
	return subject.Can(authz.Create, keys) || subject.Can(authz.Update, keys) || subject.Can(authz.Delete, keys)
}

// listProvisionerKeyDaemons shows under each key the daemons that are there now.
func (a *api) listProvisionerKeyDaemons(ctx context.Context, _ *OrganizationPath) (*output[[]client.ProvisionerKeyDaemons], error) {
	org := organizationFrom(ctx)
	keys, err := a.provisionerKeys(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	daemons, err := a.store.ListProvisionerDaemons(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	online := map[uuid.UUID][]client.ProvisionerDaemon{}
	for _, d := range daemons {
		if a.isOnline(d.LastSeenAt, d.StoppedAt) {
			online[d.KeyID] = append(online[d.KeyID], provisionerDaemonResponse(d))
		}
	}
	out := []client.ProvisionerKeyDaemons{}
	for _, key := range append(reservedKeysOf(org), keys...) {
		out = append(out, client.ProvisionerKeyDaemons{Key: key, Daemons: nonNil(online[key.ID])})
	}
	return reply(out), nil
}

// reservedKeysOf are those that daemons of an organization can have: built-in
// ones serve the default organization only.
func reservedKeysOf(org store.Organization) []client.ProvisionerKey {
	var out []client.ProvisionerKey
	for _, key := range reservedKeys() {
		if org.IsDefault || key.ID == client.ProvisionerKeyUserAuthID {
			key.Organization, key.CreatedAt, key.Tags, key.AllowList = org.ID, org.CreatedAt.Time, map[string]string{}, []string{}
			out = append(out, key)
		}
	}
	return out
}

func (a *api) deleteProvisionerKey(ctx context.Context, in *ProvisionerKeyPath) (*empty, error) {
	name := strings.ToLower(in.Name)
	if reservedKeyID(name) != uuid.Nil {
		return nil, badRequest(fmt.Sprintf("The key %q is reserved and cannot be deleted.", name))
	}
	org := organizationFrom(ctx)
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		keys, err := tx.ListProvisionerKeys(ctx, org.ID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(keys, func(k store.ProvisionerKey) bool { return k.Name == name })
		if i < 0 {
			return errNotFound()
		}
		if _, err := tx.DeleteProvisionerKey(ctx, store.DeleteProvisionerKeyParams{OrganizationID: org.ID, Name: name}); err != nil {
			return err
		}
		return a.audit(ctx, tx, provisionerKeyChanged(org, client.AuditDelete, &keys[i], nil))
	})
	if err != nil {
		return nil, fmt.Errorf("delete provisioner key: %w", err)
	}
	return &empty{}, nil
}

// presentedProvisionerKey describes the key in the header to whoever holds it.
func (a *api) presentedProvisionerKey(ctx context.Context, in *presentedKeyInput) (*output[client.ProvisionerKey], error) {
	switch {
	case in.PSK != "":
		return nil, badRequest("Send the provisioner key alone, without a pre-shared key.")
	case in.Key == "":
		return nil, errUnauthenticated("Send a provisioner key in the header " + client.HeaderDaemonKey + ".")
	case len(in.Key) != client.ProvisionerKeyLength:
		return nil, badRequest(fmt.Sprintf("A provisioner key has %d characters; this one has %d.", client.ProvisionerKeyLength, len(in.Key)))
	}
	cred, err := a.keyCredential(ctx, hashSecret(in.Key))
	if err != nil {
		return nil, err
	}
	return a.replyProvisionerKey(ctx, *cred.key)
}

// provisionerKeyResponse takes the key's secrets from among those of its
// organization, oldest first.
func (a *api) provisionerKeyResponse(k store.ProvisionerKey, secrets []store.ProvisionerKeySecret) client.ProvisionerKey {
	out := client.ProvisionerKey{
		ID: k.ID, CreatedAt: k.CreatedAt.Time, Organization: k.OrganizationID, Name: k.Name, Tags: k.Tags,
		AllowList: nonNil(k.AllowList), ExpiresAt: k.ExpiresAt.Ptr(),
	}
	var used, previous store.Time
	for _, s := range secrets {
		if s.KeyID != k.ID || s.Kind == secretToJoin {
			continue
		}
		if isNewest(s) {
			out.SecretID = &s.ID
		}
		if s.UsedAt.After(used.Time) {
			used = s.UsedAt
		}
		if s.ExpiresAt.After(previous.Time) && !a.hasPassed(s.ExpiresAt) {
			previous = s.ExpiresAt
		}
	}
	out.LastUsedAt, out.PreviousExpiresAt = used.Ptr(), previous.Ptr()
	return out
}

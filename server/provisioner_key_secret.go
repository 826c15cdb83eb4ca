package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// Kinds of secrets that a provisioner key has.
const (
	secretOfKey    = "key"
	secretToJoin   = "join"
	secretOfDaemon = "daemon"
)

// noteUseAfter is how exact the last use of a secret is.
const noteUseAfter = time.Minute

// Limits of what is asked for.
const (
	defaultOverlap      = 24 * time.Hour
	maxOverlap          = 30 * 24 * time.Hour
	defaultJoinLifetime = time.Hour
	maxJoinLifetime     = 7 * 24 * time.Hour
	maxAllowed          = 100
)

type rotateProvisionerKeyInput struct {
	ProvisionerKeyPath
	Body client.RotateProvisionerKeyRequest
}

type createJoinTokenInput struct {
	ProvisionerKeyPath
	Body client.CreateJoinTokenRequest
}

type joinProvisionerInput struct {
	Body client.JoinProvisionerRequest
}

// keyCredential is what a secret of a provisioner key stands for while it is
// good, and is used from an address that the key allows.
func (a *api) keyCredential(ctx context.Context, hashed []byte) (*daemonCredential, error) {
	row, err := a.store.GetProvisionerKeyBySecret(ctx, hashed)
	if store.IsNotFound(err) {
		return nil, refuse(http.StatusUnauthorized, "This provisioner key is not known.", "It is mistyped, deleted, or of another deployment. Make one with: coder provisioner keys create NAME --org ORGANIZATION")
	}
	if err != nil {
		return nil, err
	}
	key, secret := row.ProvisionerKey, row.ProvisionerKeySecret
	if secret.Kind == secretToJoin {
		return nil, refuse(http.StatusUnauthorized, "This is a join token, not a provisioner key.", "Start the provisioner with --join-token, or with CODER_PROVISIONER_DAEMON_JOIN_TOKEN.")
	}
	if err := a.checkProvisionerKeyUse(key, requestFrom(ctx).ip); err != nil {
		return nil, err
	}
	if a.hasPassed(secret.ExpiresAt) {
		return nil, refuse(http.StatusUnauthorized, fmt.Sprintf("This secret of the provisioner key %q ended at %s, because the key was rotated.", key.Name, showTime(secret.ExpiresAt)),
			"Start the provisioner with the newer secret, or with a new join token.")
	}
	if a.now().Sub(secret.UsedAt.Time) >= noteUseAfter {
		if _, err := a.store.UseProvisionerKeySecret(ctx, store.UseProvisionerKeySecretParams{OrganizationID: secret.OrganizationID, ID: secret.ID, UsedAt: store.At(a.now())}); err != nil {
			return nil, err
		}
	}
	return &daemonCredential{keyID: key.ID, key: &key, secret: hashed, organization: key.OrganizationID}, nil
}

// checkProvisionerKeyUse refuses a key that has expired, or that is not for
// the address.
func (a *api) checkProvisionerKeyUse(key store.ProvisionerKey, ip string) error {
	if a.hasPassed(key.ExpiresAt) {
		return refuse(http.StatusUnauthorized, fmt.Sprintf("The provisioner key %q expired at %s.", key.Name, showTime(key.ExpiresAt)),
			"An administrator of the organization gives it more time: coder provisioner keys rotate "+key.Name+" --expires 90d")
	}
	if !allows(key.AllowList, ip) {
		return refuse(http.StatusForbidden, fmt.Sprintf("The provisioner key %q may not be used from the address %s.", key.Name, ip), "An administrator of the organization sees from where it may: coder provisioner keys list -c name,allow")
	}
	return nil
}

func (a *api) hasPassed(t store.Time) bool { return !t.IsZero() && !t.After(a.now()) }

func showTime(t store.Time) string { return t.UTC().Format(time.RFC3339) }

// allows tells whether an address is in a list of networks; an empty list
// allows every address.
func allows(networks []string, ip string) bool {
	address, err := netip.ParseAddr(ip)
	return len(networks) == 0 || err == nil && slices.ContainsFunc(networks, func(network string) bool {
		prefix, err := netip.ParsePrefix(network)
		return err == nil && prefix.Contains(address.Unmap())
	})
}

// checkNetworks turns addresses and networks into networks.
func checkNetworks(asked []string) (store.Strings, error) {
	if len(asked) > maxAllowed {
		return nil, invalid("allow_list", "A key has %d networks at most; these are %d.", maxAllowed, len(asked))
	}
	networks := store.Strings{}
	for _, text := range asked {
		prefix, err := netip.ParsePrefix(text)
		if address, alone := netip.ParseAddr(text); alone == nil && address.Zone() == "" {
			prefix, err = address.Unmap().Prefix(address.Unmap().BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, invalid("allow_list", "%q is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32.", text)
		}
		networks = append(networks, prefix.Masked().String())
	}
	return networks, nil
}

// checkKeyExpiry takes nil and the zero time as never.
func (a *api) checkKeyExpiry(at *time.Time) (store.Time, error) {
	if at == nil || at.IsZero() {
		return store.Time{}, nil
	}
	if !at.After(a.now()) {
		return store.Time{}, invalid("expires_at", "%s has passed already.", at.UTC().Format(time.RFC3339))
	}
	return store.At(*at), nil
}

// secretWithin takes a time in seconds, 0 as the default.
func secretWithin(field string, seconds *int64, usual, most time.Duration) (time.Duration, error) {
	if seconds == nil {
		return usual, nil
	}
	if *seconds < 0 || *seconds > int64(most/time.Second) {
		return 0, invalid(field, "Give a number of seconds from 0 to %d.", int64(most/time.Second))
	}
	return time.Duration(*seconds) * time.Second, nil
}

// rotateProvisionerKey gives a key another secret. What was good before stays
// good for the overlap, but of earlier secrets of the key only the newest:
// there are never more than two.
func (a *api) rotateProvisionerKey(ctx context.Context, in *rotateProvisionerKeyInput) (*output[client.RotateProvisionerKeyResponse], error) {
	overlap, err := secretWithin("overlap_seconds", in.Body.OverlapSeconds, defaultOverlap, maxOverlap)
	if err != nil {
		return nil, err
	}
	org, now := organizationFrom(ctx), a.now()
	out := client.RotateProvisionerKeyResponse{Key: newSecret(client.ProvisionerKeyLength), PreviousExpiresAt: now.Add(overlap)}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		before, err := a.withStore(tx).provisionerKeyByName(ctx, in.Name)
		if err != nil {
			return err
		}
		if err := a.withStore(tx).checkNewestSecret(ctx, before, in.Body.SecretID); err != nil {
			return err
		}
		after, err := a.withStore(tx).changeProvisionerKey(ctx, before, in.Body)
		if err != nil {
			return err
		}
		if err := a.withStore(tx).endProvisionerKeySecrets(ctx, before, now.Add(overlap)); err != nil {
			return err
		}
		if err := a.withStore(tx).addProvisionerKeySecret(ctx, before, secretOfKey, out.Key, store.Time{}); err != nil {
			return err
		}
		return a.audit(ctx, tx, provisionerKeyChanged(org, "rotate", &before, &after))
	})
	if err != nil {
		return nil, fmt.Errorf("rotate provisioner key: %w", err)
	}
	return reply(out), nil
}

// isNewest tells whether a secret is the one that no rotation has ended yet.
func isNewest(s store.ProvisionerKeySecret) bool {
	return s.Kind == secretOfKey && s.ExpiresAt.IsZero()
}

// checkNewestSecret refuses a rotation by somebody who knows of another newest
// secret of the key; nil is whoever does not care.
func (a *api) checkNewestSecret(ctx context.Context, key store.ProvisionerKey, expected *uuid.UUID) error {
	if expected == nil {
		return nil
	}
	secrets, err := a.store.ListProvisionerKeySecrets(ctx, key.OrganizationID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(secrets, func(s store.ProvisionerKeySecret) bool { return s.KeyID == key.ID && s.ID == *expected && isNewest(s) }) {
		return nil
	}
	return conflict("The key was rotated in between; nothing was done.", client.ValidationError{Field: "secret_id", Detail: "The key has another secret now."})
}

func (a *api) provisionerKeyByName(ctx context.Context, name string) (store.ProvisionerKey, error) {
	name = strings.ToLower(name)
	if reservedKeyID(name) != uuid.Nil {
		return store.ProvisionerKey{}, badRequest(fmt.Sprintf("The key %q is reserved: it has no secret of its own.", name))
	}
	return a.store.GetProvisionerKeyByName(ctx, store.GetProvisionerKeyByNameParams{OrganizationID: organizationFrom(ctx).ID, Name: name})
}

func (a *api) changeProvisionerKey(ctx context.Context, key store.ProvisionerKey, asked client.RotateProvisionerKeyRequest) (store.ProvisionerKey, error) {
	var err error
	if asked.ExpiresAt != nil {
		if key.ExpiresAt, err = a.checkKeyExpiry(asked.ExpiresAt); err != nil {
			return key, err
		}
	} else if a.hasPassed(key.ExpiresAt) {
		return key, invalid("expires_at", "The key expired at %s: say when the new secret is to expire.", showTime(key.ExpiresAt))
	}
	if asked.AllowList != nil {
		if key.AllowList, err = checkNetworks(*asked.AllowList); err != nil {
			return key, err
		}
	}
	return a.store.UpdateProvisionerKey(ctx, store.UpdateProvisionerKeyParams{OrganizationID: key.OrganizationID, ID: key.ID, AllowList: key.AllowList, ExpiresAt: key.ExpiresAt})
}

// endProvisionerKeySecrets ends every secret of a key at the time given, or
// when it would have ended earlier.
func (a *api) endProvisionerKeySecrets(ctx context.Context, key store.ProvisionerKey, end time.Time) error {
	now := store.At(a.now())
	if _, err := a.store.DeleteEndedProvisionerKeySecrets(ctx, store.DeleteEndedProvisionerKeySecretsParams{OrganizationID: key.OrganizationID, KeyID: key.ID, ExpiresAt: now}); err != nil {
		return err
	}
	secrets, err := a.store.ListProvisionerKeySecrets(ctx, key.OrganizationID)
	if err != nil {
		return err
	}
	for _, s := range secrets {
		at, rotated := store.At(end), s.Kind == secretOfKey && !s.ExpiresAt.IsZero()
		if rotated {
			at = now
		}
		if s.KeyID != key.ID || !s.ExpiresAt.IsZero() && s.ExpiresAt.Before(at.Time) {
			continue
		}
		if err := a.store.EndProvisionerKeySecret(ctx, store.EndProvisionerKeySecretParams{OrganizationID: key.OrganizationID, ID: s.ID, ExpiresAt: at}); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) addProvisionerKeySecret(ctx context.Context, key store.ProvisionerKey, kind, secret string, expires store.Time) error {
	_, err := a.store.InsertProvisionerKeySecret(ctx, store.InsertProvisionerKeySecretParams{
		ID: uuid.New(), OrganizationID: key.OrganizationID, KeyID: key.ID, Kind: kind, HashedSecret: hashSecret(secret), CreatedAt: store.At(a.now()), ExpiresAt: expires,
	})
	return err
}

// createJoinToken makes what one daemon may join with, once.
func (a *api) createJoinToken(ctx context.Context, in *createJoinTokenInput) (*output[client.JoinToken], error) {
	lifetime, err := secretWithin("lifetime_seconds", in.Body.LifetimeSeconds, defaultJoinLifetime, maxJoinLifetime)
	if err != nil {
		return nil, err
	}
	out := client.JoinToken{JoinToken: newSecret(client.ProvisionerKeyLength), ExpiresAt: a.now().Add(lifetime)}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		key, err := a.withStore(tx).provisionerKeyByName(ctx, in.Name)
		if err != nil {
			return err
		}
		if a.hasPassed(key.ExpiresAt) {
			return badRequest(fmt.Sprintf("The provisioner key %q expired at %s: rotate it first.", key.Name, showTime(key.ExpiresAt)))
		}
		if err := a.withStore(tx).addProvisionerKeySecret(ctx, key, secretToJoin, out.JoinToken, store.At(out.ExpiresAt)); err != nil {
			return err
		}
		return a.audit(ctx, tx, provisionerKeyChanged(organizationFrom(ctx), "join_token", &key, &key))
	})
	if err != nil {
		return nil, fmt.Errorf("create join token: %w", err)
	}
	return reply(out), nil
}

// joinProvisioner makes a key's secret of the one that a daemon has made up,
// for a join token that nobody has used. Asked again, it answers the same.
func (a *api) joinProvisioner(ctx context.Context, in *joinProvisionerInput) (*output[client.ProvisionerKey], error) {
	if !isSecret(in.Body.Key, client.ProvisionerKeyLength) {
		return nil, invalid("key", "Make up %d random letters and digits.", client.ProvisionerKeyLength)
	}
	hashed := hashSecret(in.Body.Key)
	if joined, err := a.keyCredential(ctx, hashed); err == nil {
		return a.replyProvisionerKey(ctx, *joined.key)
	}
	var key store.ProvisionerKey
	err := a.store.InTx(ctx, func(tx *store.Store) (err error) {
		if key, err = a.withStore(tx).useJoinToken(ctx, in.Body.JoinToken); err != nil {
			return err
		}
		return a.withStore(tx).addProvisionerKeySecret(ctx, key, secretOfDaemon, in.Body.Key, store.Time{})
	})
	if err != nil {
		return nil, err
	}
	a.logger.InfoContext(ctx, "join token used", "key", key.Name, "organization_id", key.OrganizationID, "address", requestFrom(ctx).ip)
	return a.replyProvisionerKey(ctx, key)
}

// useJoinToken gives the key of a join token, and ends the token.
func (a *api) useJoinToken(ctx context.Context, token string) (store.ProvisionerKey, error) {
	const another = "Make another one with: coder provisioner keys join-token NAME --org ORGANIZATION"
	row, err := a.store.GetProvisionerKeyBySecret(ctx, hashSecret(token))
	secret, key := row.ProvisionerKeySecret, row.ProvisionerKey
	switch {
	case store.IsNotFound(err):
		return key, refuse(http.StatusUnauthorized, "This join token is not known.", "It ended, its key was deleted, or it is from another deployment. "+another)
	case err != nil:
		return key, err
	case secret.Kind != secretToJoin:
		return key, refuse(http.StatusUnauthorized, "This is a provisioner key, not a join token.", "Start the provisioner with --key, or with CODER_PROVISIONER_DAEMON_KEY.")
	case !secret.UsedAt.IsZero():
		return key, refuse(http.StatusUnauthorized, "This join token was used at "+showTime(secret.UsedAt)+" by another provisioner.", another)
	case a.hasPassed(secret.ExpiresAt):
		return key, refuse(http.StatusUnauthorized, "This join token ended at "+showTime(secret.ExpiresAt)+".", another)
	}
	if err := a.checkProvisionerKeyUse(key, requestFrom(ctx).ip); err != nil {
		return key, err
	}
	n, err := a.store.UseProvisionerKeySecret(ctx, store.UseProvisionerKeySecretParams{OrganizationID: secret.OrganizationID, ID: secret.ID, UsedAt: store.At(a.now())})
	if err == nil && n == 0 {
		err = refuse(http.StatusUnauthorized, "This join token was used by another provisioner.", another)
	}
	return key, err
}

func (a *api) replyProvisionerKey(ctx context.Context, key store.ProvisionerKey) (*output[client.ProvisionerKey], error) {
	secrets, err := a.store.ListProvisionerKeySecrets(ctx, key.OrganizationID)
	if err != nil {
		return nil, err
	}
	return reply(a.provisionerKeyResponse(key, secrets)), nil
}

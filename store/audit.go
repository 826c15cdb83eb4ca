package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	settingAuditKey = "audit_key"
	purposeAuditKey = "audit key"
	// auditPage is how many entries a verification reads at once.
	auditPage = 1000
	// maxAuditText bounds the texts of an entry that a request brings along.
	maxAuditText = 512
)

// openAuditKey reads the key of the audit chains, or makes it on a new
// database. It is random and wrapped by the deployment key: a new deployment
// key wraps it again, and the chains stay as they are.
func (s *Store) openAuditKey(ctx context.Context) error {
	k, err := s.openSettingKey(ctx, settingAuditKey, purposeAuditKey)
	s.keys.audit = k
	return err
}

// AppendAudit adds entries to the chain of the organization that all of them
// name, or with a zero organization to that of the deployment. It fills in Seq
// and Hash, and must run in the transaction of the change that the entries are
// about. One that appends to several chains does so in the order of their ids.
func (s *Store) AppendAudit(ctx context.Context, entries ...InsertAuditLogParams) error {
	if !s.tx {
		return errors.New("append to the audit log: only in a transaction")
	}
	if len(entries) == 0 {
		return nil
	}
	organizationID := entries[0].OrganizationID
	head, err := s.GetAuditHead(ctx, organizationID)
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("read the head of the audit log: %w", err)
	}
	key := s.auditChainKey(organizationID)
	for i := range entries {
		e := &entries[i]
		if e.OrganizationID != organizationID {
			return errors.New("append to the audit log: entries of one organization at a time")
		}
		e.Seq = head.Entries + 1
		e.Username, e.IP, e.UserAgent, e.ResourceTarget = auditText(e.Username), auditText(e.IP), auditText(e.UserAgent), auditText(e.ResourceTarget)
		e.Hash = auditHash(key, AuditLog(*e), head.Hash)
		head.Entries, head.Hash = e.Seq, e.Hash
	}
	// The head comes first: where two transactions meet at it, one of them is
	// run again, while at the entry it would fail.
	err = s.PutAuditHead(ctx, PutAuditHeadParams{OrganizationID: organizationID, Entries: head.Entries, Hash: head.Hash, Seal: auditSeal(key, head.Entries, head.Hash)})
	if err != nil {
		return fmt.Errorf("move the head of the audit log: %w", err)
	}
	for _, e := range entries {
		if err := s.InsertAuditLog(ctx, e); err != nil {
			return fmt.Errorf("append to the audit log: %w", err)
		}
	}
	return nil
}

// auditText makes what a client sent fit for both databases.
func auditText(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) <= maxAuditText {
		return text
	}
	cut := maxAuditText
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

// auditChainKey is the key of one chain, so that no entry fits into another.
func (s *Store) auditChainKey(organizationID uuid.UUID) []byte {
	mac := hmac.New(sha256.New, s.keys.audit[:])
	mac.Write([]byte("chain:" + organizationID.String()))
	return mac.Sum(nil)
}

// auditHash chains an entry, exactly as it is stored, to the one before it.
func auditHash(key []byte, e AuditLog, previous []byte) []byte {
	user := ""
	if e.UserID != nil {
		user = e.UserID.String()
	}
	mac := hmac.New(sha256.New, key)
	field := func(b []byte) {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		mac.Write(b)
	}
	field([]byte("entry 1"))
	field(binary.BigEndian.AppendUint64(nil, uint64(e.Seq)))
	field(binary.BigEndian.AppendUint64(nil, uint64(e.CreatedAt.Micro())))
	field(binary.BigEndian.AppendUint64(nil, uint64(e.StatusCode)))
	for _, text := range []string{
		e.OrganizationID.String(), e.ID.String(), e.RequestID.String(), user, e.Username, e.IP, e.UserAgent, e.ResourceType,
		e.ResourceID.String(), e.ResourceTarget, e.ResourceIcon, e.Action, e.Diff, e.AdditionalFields,
	} {
		field([]byte(text))
	}
	field(previous)
	return mac.Sum(nil)
}

// auditSeal binds a head, so that who cuts the log cannot move its head back.
func auditSeal(key []byte, entries int64, hash []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("head 1"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(entries)))
	mac.Write(hash)
	return mac.Sum(nil)
}

// AuditMark is a place in a chain: how many entries there are up to it, and
// the hash of the last of them.
type AuditMark struct {
	Entries int64
	Hash    []byte
}

// AuditFault is the first thing that is wrong with a chain; Seq is the number
// of the entry, from 1.
type AuditFault struct {
	Seq   int64
	Fault string
}

// AuditPart is which part of a chain is read. From is as far as it was found
// sound before, Known a head that was noted, Most how many entries are read at
// most; 0 is all.
type AuditPart struct {
	From  AuditMark
	Known *AuditMark
	Most  int64
}

// VerifyAudit reads a chain and returns how far it is sound, and whether the
// part ended before the chain did. With a known head it also finds a chain
// that was cut or made anew since. A nil fault means that all is well.
func (s *Store) VerifyAudit(ctx context.Context, organizationID uuid.UUID, part AuditPart) (sound AuditMark, more bool, fault *AuditFault, err error) {
	v := auditVerifier{key: s.auditChainKey(organizationID), known: part.Known, sound: part.From}
	if v.head, err = s.auditHead(ctx, organizationID); err != nil {
		return v.sound, false, nil, err
	}
	left, after := cmp.Or(part.Most, math.MaxInt64), int64(math.MinInt64)
	if part.From.Entries > 0 {
		after = part.From.Entries
	}
	for {
		size := min(auditPage, left)
		page, err := s.ListAuditChain(ctx, ListAuditChainParams{OrganizationID: organizationID, After: after, MaxRows: int32(size)})
		if err != nil {
			return v.sound, false, nil, fmt.Errorf("read the audit log: %w", err)
		}
		for _, e := range page {
			if fault := v.next(e); fault != nil {
				return v.sound, false, fault, nil
			}
		}
		if int64(len(page)) < size {
			break
		}
		after = page[len(page)-1].Seq
		if left -= size; left == 0 {
			return v.sound, true, nil, nil
		}
	}
	// Entries came while the chain was read: it must reach the older head and
	// not go beyond the newer one.
	if v.last, err = s.auditHead(ctx, organizationID); err != nil {
		return v.sound, false, nil, err
	}
	return v.sound, false, v.end(), nil
}

func (s *Store) auditHead(ctx context.Context, organizationID uuid.UUID) (AuditHead, error) {
	head, err := s.GetAuditHead(ctx, organizationID)
	if err != nil && !IsNotFound(err) {
		return AuditHead{}, fmt.Errorf("read the head of the audit log: %w", err)
	}
	return head, nil
}

// auditVerifier walks a chain; sound is as far as it got.
type auditVerifier struct {
	key        []byte
	known      *AuditMark
	head, last AuditHead
	sound      AuditMark
}

func (v *auditVerifier) next(e AuditLog) *AuditFault {
	want := v.sound.Entries + 1
	switch {
	case e.Seq < want:
		return &AuditFault{e.Seq, "was not written by the server: entries begin with 1"}
	case e.Seq > want:
		return &AuditFault{want, "was removed"}
	case !hmac.Equal(e.Hash, auditHash(v.key, e, v.sound.Hash)):
		return &AuditFault{want, "was changed, moved, or not written by the server"}
	case v.known != nil && v.known.Entries == want && !hmac.Equal(v.known.Hash, e.Hash):
		return &AuditFault{want, "is not the one whose hash was noted: the log was made anew from an earlier entry on"}
	}
	v.sound = AuditMark{Entries: want, Hash: e.Hash}
	return nil
}

// end compares the chain with its heads, and with the one that was noted.
func (v *auditVerifier) end() *AuditFault {
	n := v.sound.Entries
	switch {
	case v.known != nil && v.known.Entries > n:
		return &AuditFault{n + 1, fmt.Sprintf("was removed with all after it: %d were there when the head was noted", v.known.Entries)}
	case v.head.Entries > n || v.last.Entries > 0 && v.last.Entries < v.head.Entries:
		return &AuditFault{n + 1, fmt.Sprintf("was removed with all after it: the head of the log counts %d", max(v.head.Entries, v.last.Entries))}
	case n > v.last.Entries:
		return &AuditFault{v.last.Entries + 1, "is beyond the head of the log, which was changed or removed"}
	case n == 0:
		return &AuditFault{1, "was removed: the log is empty, and every log has an entry about its beginning"}
	case !hmac.Equal(v.last.Seal, auditSeal(v.key, v.last.Entries, v.last.Hash)), v.last.Entries == n && !hmac.Equal(v.last.Hash, v.sound.Hash):
		return &AuditFault{n + 1, "may have been removed with all after it: the head of the log was changed"}
	}
	return nil
}

// AuditMarkOf is the head of a chain; it is zero where there is none.
func (s *Store) AuditMarkOf(ctx context.Context, organizationID uuid.UUID) (AuditMark, error) {
	head, err := s.auditHead(ctx, organizationID)
	return AuditMark{Entries: head.Entries, Hash: head.Hash}, err
}
